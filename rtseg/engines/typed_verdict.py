"""Check that a compiler kept the precision of each convolution and matrix product of a strongly typed graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rtseg.engines.formats import UNKNOWN
from rtseg.engines.generated_kernels import operations
from rtseg.engines.layer_precision import WEIGHTED
from rtseg.engines.product_words import first_of, products

if TYPE_CHECKING:
    from rtseg.engines.audited_layer import AuditedLayer

NO_KERNEL = "no kernel"
_NARROW_FIRST = ("int8", "fp16", "fp32")


def changed_products(asked: Mapping[str, str], layers: Sequence[AuditedLayer], request: str) -> list[str]:
    """Return one sentence for each failure to meet the request. asked maps each product of the graph to its precision.

    The graph itself must be in the requested precision: it has some products in it, and none that is narrower.
    """
    if request not in asked.values():
        kinds = " and ".join(sorted(set(asked.values())))
        return [f"{request} was requested, but no product of the graph is in {request}; got {kinds}"]
    if narrower := [name for name, precision in asked.items() if _width(precision) < _width(request)]:
        text = f"{len(narrower)} of {len(asked)} {products(len(asked))} in {asked[narrower[0]]}"
        return [f"{request} was requested, but the graph has {text} ({first_of(narrower)})"]
    return [
        f"{len(names)} of {len(asked)} {products(len(asked))} were requested in {before} and built in {after} "
        f"({first_of(names)}); the compiler changed the precision silently"
        for (before, after), names in differences(asked, layers).items()
    ]


def wide_weights(asked: Mapping[str, str], layers: Sequence[AuditedLayer]) -> list[str]:
    """Return a sentence that counts the FP16 products with FP32 weights, as on Turing; empty if there are none."""
    wide = weights_in_fp32(asked, layers)
    text = f"{wide} of {len(asked)} {products(len(asked))} are FP16 with weights in FP32, which take twice the memory"
    return [text] if wide else []


def differences(asked: Mapping[str, str], layers: Iterable[AuditedLayer]) -> dict[tuple[str, str], list[str]]:
    """Return the operators that were built in a precision other than the graph's.

    asked maps each operator to its precision in the graph. The result maps (asked, built) to operator names; built is
    "no kernel" if no layer computes the operator. A kernel that multiplies computes in the precision of its first
    input, or of its weights if they are narrower. The compiler may expand a small floating-point product into
    multiplications and sums within a generated kernel; then one of that kernel's tensors must be as wide as requested.
    """
    products, others = _kernels_of(asked, layers)
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, precision in asked.items():
        built = {_computed_in(entry) for entry in products[name]}
        written_out = [entry for entry in others[name] if "Mul" in operations(entry.layer.name)]
        if not built and precision != "int8" and written_out:
            widest = max(_width(entry.precision) for entry in written_out)
            built = {precision if widest >= _width(precision) else written_out[0].precision}
        for other in sorted(built - {precision}) or ([] if built else [NO_KERNEL]):
            found[precision, other].append(name)
    return dict(found)


def _computed_in(entry: AuditedLayer) -> str:
    weights = next((tensor for tensor in entry.layer.constants or () if len(tensor.shape) > 1), None)
    built = _built(entry.precision)
    if weights is not None and not weights.is_scalar and 0 <= _width(weights.data_type) < _width(built):
        return weights.data_type
    return built


def weights_in_fp32(asked: Mapping[str, str], layers: Iterable[AuditedLayer]) -> int:
    """Return the number of operators requested in FP16 whose kernel has FP32 weights."""
    products, _ = _kernels_of(asked, layers)
    return sum(
        any(
            tensor.data_type == "fp32" and tensor.shape and len(tensor.shape) > 1 and not tensor.is_scalar
            for entry in products[name]
            for tensor in (entry.layer.constants or ())[:1]
        )
        for name, precision in asked.items()
        if precision == "fp16"
    )


def _kernels_of(
    asked: Mapping[str, str], layers: Iterable[AuditedLayer]
) -> tuple[defaultdict[str, list[AuditedLayer]], defaultdict[str, list[AuditedLayer]]]:
    """Return the kernels that name each operator: those that multiply, and those that do other work."""
    products: defaultdict[str, list[AuditedLayer]] = defaultdict(list)
    others: defaultdict[str, list[AuditedLayer]] = defaultdict(list)
    for entry in layers:
        for name in entry.layer.operators:
            if name in asked:
                (products if entry.work in WEIGHTED else others)[name].append(entry)
    return products, others


def _built(precision: str) -> str:
    """Return a precision as a graph states it: TF32 counts as FP32, which it may replace where allowed."""
    return "fp32" if precision == "tf32" else precision


def _width(precision: str) -> int:
    found = _built(precision)
    return _NARROW_FIRST.index(found) if found in _NARROW_FIRST else (-1 if found == UNKNOWN else 0)
