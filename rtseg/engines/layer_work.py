"""Count the multiply-accumulates of an engine's layer from its tensor shapes.

Counting follows graphs.macs, with the compiled shapes: channels that the compiler added to fill a vector count, because
the kernel multiplies them, and so do the padding values in a window.

    convolution              every output value reads a window of the inputs of its group
    transposed convolution   every input value adds to a window of the outputs of its group
    matrix product           every output value is a row times a column

The result is None, never a guess, if the shapes fit in more than one way or in none. It is also None for a fused kernel
that may change the shape between the product and the output, and for a known tactic that multiplies less than the
direct product (Winograd, structured sparsity).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import permutations, product

from rtseg.engines.generated_kernels import operations
from rtseg.engines.inspector import EngineLayer
from rtseg.engines.layer_precision import CONVOLUTION, MATRIX_PRODUCT

Shape = Sequence[int]

_PRODUCTS = frozenset({"Corr", "Deco", "Fc", "Gemm"})
_POINTWISE = frozenset(
    {
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Max",
        "Min",
        "Relu",
        "Sigm",
        "Tanh",
        "Exp",
        "Erf",
        "Cast",
        "Roun",
        "Sqrt",
        "Abs",
        "Neg",
        "Silu",
        "Elu",
        "Log",
    }
)
"""Operations that a generated kernel may add to its product without changing the shape."""

_TRANSPOSED = re.compile(r"deconv|^deconvolution$", re.IGNORECASE)
_FEWER = re.compile(r"winograd|sparse", re.IGNORECASE)


def macs_of(layer: EngineLayer, work: str) -> int | None:
    """Return the multiply-accumulates of a layer: 0 if it has no product, None if they cannot be determined.

    work is the result of layer_precision.work_of for the layer.
    """
    if work not in (CONVOLUTION, MATRIX_PRODUCT):
        return 0
    shapes = [tensor.shape for tensor in (*layer.inputs, *layer.outputs)]
    if not layer.inputs or not layer.outputs or not all(shapes) or min(map(min, shapes)) < 1:
        return None
    if skips_products(layer):
        return None
    fused = operations(layer.name)
    if fused:
        products = [name for name in fused if name in _PRODUCTS]
        if len(products) != 1 or not _POINTWISE.issuperset(set(fused) - _PRODUCTS):
            return None
    if work == MATRIX_PRODUCT:
        found = set(_matrix_products(layer)) or set(_convolutions(layer, pointwise=True))
    elif _TRANSPOSED.search(layer.kind) or _TRANSPOSED.search(layer.operation) or "Deco" in fused:
        found = set(_transposed_convolutions(layer))
    else:
        found = set(_convolutions(layer))
    return found.pop() if len(found) == 1 else None


def skips_products(layer: EngineLayer) -> bool:
    """Return whether the tactic is known to multiply less than the direct product."""
    return _FEWER.search(layer.tactic) is not None


def _convolutions(layer: EngineLayer, *, pointwise: bool = False) -> Iterator[int]:
    """Yield the count for each constant that may be the weight, (out, in / groups, ...), or for the window if given."""
    written = layer.outputs[0].shape
    maps = _maps_read(layer)
    if layer.window and len(layer.window) == len(written) - 2:
        yield from {
            math.prod(written) * shape[1] // layer.groups * math.prod(layer.window)
            for shape in maps[:1]
            if shape[1] % layer.groups == 0
        }
        return
    for weight in (tensor.shape for tensor in layer.constants or ()):
        if len(weight) != len(written) or weight[0] != written[1] or (pointwise and math.prod(weight[2:]) != 1):
            continue
        groups = {shape[1] // weight[1] for shape in maps if _divides(weight[1], shape[1])}
        if any(_divides(number, written[1]) for number in groups):
            yield math.prod(written) * math.prod(weight[1:])


def _transposed_convolutions(layer: EngineLayer) -> Iterator[int]:
    """Yield the count for each constant that may be the weight, (in, out / groups, ...), or for the window if given."""
    written = layer.outputs[0].shape
    maps = _maps_read(layer)
    if layer.window and len(layer.window) == len(written) - 2:
        yield from {
            math.prod(shape) * written[1] // layer.groups * math.prod(layer.window)
            for shape in maps[:1]
            if written[1] % layer.groups == 0
        }
        return
    for weight in (tensor.shape for tensor in layer.constants or ()):
        if len(weight) == len(written) and _divides(weight[1], written[1]):
            groups = written[1] // weight[1]
            for shape in maps:
                if shape[1] == weight[0] and _divides(groups, shape[1]):
                    yield math.prod(shape) * math.prod(weight[1:])


def _maps_read(layer: EngineLayer) -> list[tuple[int, ...]]:
    """Return the shapes of the inputs that have the output's rank: (batch, channels, height, width)."""
    rank = len(layer.outputs[0].shape)
    return [tensor.shape for tensor in layer.inputs if len(tensor.shape) == rank >= 3]


def _matrix_products(layer: EngineLayer) -> Iterator[int]:
    """Yield the count for every way in which two operands, transposed or not, give the output."""
    written = layer.outputs[0].shape
    if len(written) < 2:
        return
    shapes = (tensor.shape for tensor in (*layer.inputs, *(layer.constants or ())))
    operands = [shape for shape in shapes if len(shape) >= 2 and _broadcasts(shape[:-2], written[:-2])]
    for left, right in permutations(operands, 2):
        for (rows, inner), (same, columns) in product(*({shape[-2:], shape[:-3:-1]} for shape in (left, right))):
            if inner == same and (rows, columns) == written[-2:]:
                yield math.prod(written) * inner


def _broadcasts(shape: Shape, to: Shape) -> bool:
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to)))


def _divides(part: int, whole: int) -> bool:
    return part > 0 and whole % part == 0
