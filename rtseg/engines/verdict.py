"""Whether an engine is what was asked for, and where it is not, the likely reason.

The request is about the convolutions and matrix products: TensorRT may keep a softmax in FP32 or a resize in FP16.

Where the text says what the graph asked of each of them, as rtseg writes it of an engine of TensorRT for RTX, each is
held against that: a strongly typed graph leaves the compiler no choice, so one that it changed is a failure. It is the
build for each compute capability alone that is asked. Elsewhere shares are judged, by the limits below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtseg.artifacts import PathLike, manifest_path, sha256_of
from rtseg.engines.audit import Audit, AuditedLayer, count_of
from rtseg.engines.formats import UNKNOWN
from rtseg.engines.inspector import RTX_SCHEMA, engine_path
from rtseg.engines.layer_precision import QUANTIZED, product_operator, reads_quantized
from rtseg.engines.typed_verdict import differences, weights_in_fp32
from rtseg.errors import EngineError, ManifestError, UnknownNameError

REQUESTS = ("fp32", "fp16", "int8")

MIN_FP16_SHARE = 0.75
"""Of the convolutions and matrix products of an FP16 engine. With builder flags TensorRT keeps a kernel in FP32 where
it measured that to be faster; a typed graph has all in FP16 that it was not told to keep."""

MIN_INT8_SHARE = 0.25
"""Of those of an INT8 engine. Blocks that cost accuracy and small layers stay in FP16, rightly; below this it is no
INT8 engine any more."""

MIN_QUANTIZED_SHARE = 0.9
"""Of those that the graph quantises: TensorRT may do without INT8 where it has no kernel, but only for few."""

NAMED = 3
"""So many layers are named in a message."""


@dataclass(frozen=True)
class EngineVerdict:
    """The answer to a request for a precision.

    failures say in words what is not as requested, each with the likely reason; notices what is, but not as expected.
    undecided says why the engine could not be judged, and is empty where it was. alone has the verdicts by compute
    capability where there is one for each.
    """

    request: str
    failures: tuple[str, ...]
    notices: tuple[str, ...]
    undecided: str = ""
    alone: Mapping[str, EngineVerdict] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it is proven that what was asked for was built."""
        return not self.failures and not self.undecided

    def sentence(self) -> str:
        """Return in words what stands against the engine, empty where nothing does."""
        return self.undecided or ". Also, ".join(self.failures)

    def require(self) -> None:
        """Raise EngineError unless passed."""
        if not self.passed:
            raise EngineError(self.sentence())

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "request": self.request,
            "passed": self.passed,
            "failures": list(self.failures),
            "undecided": self.undecided,
            "notices": list(self.notices),
            "alone": {capability: verdict.to_json() for capability, verdict in self.alone.items()},
        }


def verdict_on(audit: Audit, request: str) -> EngineVerdict:
    """Return whether the engine is in the precision that was asked for: fp32, fp16 or int8. Raises UnknownNameError."""
    if request not in REQUESTS:
        raise UnknownNameError("precision", request, REQUESTS)
    if audit.alone:
        return _of_each({capability: verdict_on(part, request) for capability, part in audit.alone.items()}, request)
    if audit.engine.schema == RTX_SCHEMA:
        return _as_typed(audit, request)
    layers = audit.weighted
    if not layers:
        told = "the engine has no convolution and no matrix product that tells its types"
        return EngineVerdict(request, (), (), undecided=told)
    if unknown := [entry for entry in layers if entry.precision == UNKNOWN]:
        told = (
            f"the types of {_of(unknown, layers)} are not told ({_names(unknown)}): dynamic shapes are only known "
            "to an execution context. Try: save the layers with one, or build with static shapes"
        )
        return EngineVerdict(request, (), (), undecided=told)
    checks = {"fp32": _fp32, "fp16": _fp16, "int8": _int8}
    failures = tuple(checks[request](audit))
    return EngineVerdict(request, failures, () if failures else tuple(_notices(audit, request)))


def _of_each(verdicts: Mapping[str, EngineVerdict], request: str) -> EngineVerdict:
    """Return the verdict on an engine for several compute capabilities: what was asked for on each of them, or not."""
    failures = _by_text({capability: verdict.failures for capability, verdict in verdicts.items()})
    undecided = _by_text({capability: (verdict.undecided,) for capability, verdict in verdicts.items()})
    notices = _by_text({capability: verdict.notices for capability, verdict in verdicts.items()})
    return EngineVerdict(request, failures, notices, "; ".join(undecided), dict(verdicts))


def _by_text(told: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return each text once, with the compute capabilities it is said of."""
    capabilities: dict[str, list[str]] = {}
    for capability, texts in told.items():
        for text in filter(None, texts):
            capabilities.setdefault(text, []).append(capability)
    return tuple(f"for {', '.join(names)}: {text}" for text, names in capabilities.items())


def requested_precision(path: PathLike) -> str | None:
    """Return the precision in the manifest of the engine that path names or lies beside; None without a manifest.

    Raises ManifestError for a manifest that is none, or that tells of another engine file than the one beside it.
    """
    engine = engine_path(path)
    if engine is None or not manifest_path(engine).is_file():
        return None
    sidecar = manifest_path(engine)
    try:
        manifest = json.loads(sidecar.read_text(encoding="utf-8"))
        precision, digest = manifest["precision"], manifest["sha256"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{sidecar} is not the manifest of an engine ({type(error).__name__}: {error})", hint="--expect PRECISION"
        ) from error
    if precision not in REQUESTS:
        raise ManifestError(
            f"{sidecar} names no precision of an engine", got=repr(precision), expected=f"one of {', '.join(REQUESTS)}"
        )
    if Path(engine).is_file() and sha256_of(engine) != digest:
        raise ManifestError(
            f"{engine} is not the file its manifest tells of",
            expected=f"sha256 {str(digest)[:12]}",
            hint="build it again",
        )
    return str(precision)


def _as_typed(audit: Audit, request: str) -> EngineVerdict:
    """Return whether each convolution and matrix product is in the precision that the graph has it in."""
    asked = audit.engine.asked
    if not asked:
        told = "the graph has no convolution and no matrix product"
        return EngineVerdict(request, (), (), undecided=told)
    if request not in asked.values():
        kinds = " and ".join(sorted(set(asked.values())))
        text = f"{request} was asked for, and the graph that was built has no product in it; got {kinds}"
        return EngineVerdict(request, (text,), ())
    failures = [
        f"{len(names)} of {len(asked)} {_words(len(asked))} were asked for in {before} and built in {after} "
        f"({_listed(names)}); the compiler changed the precision without a word"
        for (before, after), names in differences(asked, audit.layers).items()
    ]
    notices = []
    if not failures and (wide := weights_in_fp32(asked, audit.layers)):
        notices.append(
            f"{wide} of {len(asked)} {_words(len(asked))} are FP16 with weights in FP32, which take twice the room"
        )
    return EngineVerdict(request, tuple(failures), tuple(notices))


def _fp32(audit: Audit) -> list[str]:
    narrow = [entry for entry in audit.weighted if entry.precision not in ("fp32", "tf32")]
    if not narrow:
        return []
    reason = (
        "the graph itself holds FP16 or Q/DQ"
        if audit.engine.schema == "11"
        else ("a builder flag (FP16, BF16, INT8) was set, or the graph itself holds FP16 or Q/DQ")
    )
    return [_failure("fp32", f"{_of(narrow, audit.weighted)} narrower", narrow, reason)]


def _fp16(audit: Audit) -> list[str]:
    layers, failures = audit.weighted, []
    if quantized := [entry for entry in layers if entry.precision in QUANTIZED]:
        failures.append(
            _failure("fp16", f"{_of(quantized, layers)} in {quantized[0].precision}", quantized, "the graph holds Q/DQ")
        )
    half = count_of(layers, "fp16", *QUANTIZED)
    wide = [entry for entry in layers if entry.precision not in ("fp16", *QUANTIZED)]
    if half == 0:
        failures.append(
            _failure("fp16", f"all {len(layers)} {_words(len(layers))} in {_kinds(wide)}", wide, _no_half(audit))
        )
    elif half / len(layers) < MIN_FP16_SHARE:
        reason = (
            "FP16 kernels that did not fit into the workspace, or layers kept in FP32 (at least "
            f"{MIN_FP16_SHARE:.0%} are expected in FP16); a larger workspace or fewer kept layers"
        )
        failures.append(_failure("fp16", f"{_of(wide, layers)} in {_kinds(wide)}", wide, reason))
    return failures


def _int8(audit: Audit) -> list[str]:
    layers, failures = audit.weighted, []
    int8 = count_of(layers, "int8")
    rest = [entry for entry in layers if entry.precision != "int8"]
    quantized = [entry for entry in layers if reads_quantized(entry.layer)]
    lost = [entry for entry in quantized if entry.precision != "int8"]
    if int8 == 0:
        reason = "a graph without Q/DQ (rtseg quantize)"
        if audit.engine.schema != "11":
            reason += ", or one with Q/DQ whose build lacked the INT8 flag"
        failures.append(_failure("int8", f"all {len(layers)} {_words(len(layers))} in {_kinds(rest)}", rest, reason))
        return failures
    if lost and 1 - len(lost) / len(quantized) < MIN_QUANTIZED_SHARE:
        reason = (
            "no INT8 kernel for these shapes (channels that are no multiple of 4, groups) or none that fits into the "
            "workspace; a larger workspace, or leave them out: rtseg quantize --exclude"
        )
        failures.append(_failure("int8", f"{_of(lost, quantized)} with Q/DQ in {_kinds(lost)}", lost, reason))
    if int8 / len(layers) < MIN_INT8_SHARE:
        reason = f"most of the graph has no Q/DQ (at least {MIN_INT8_SHARE:.0%} are expected in INT8)"
        failures.append(_failure("int8", f"{_of(rest, layers)} in {_kinds(rest)}", rest, reason))
    return failures


def _notices(audit: Audit, request: str) -> list[str]:
    notices = []
    layers = audit.weighted
    wide = count_of(layers, "fp32", "tf32")
    if request == "int8" and wide > count_of(layers, "fp16", "bf16"):
        notices.append(
            f"{wide} of {len(layers)} {_words(len(layers))} are FP32: INT8 was built without FP16 for the rest"
        )
    if request == "fp32" and (tf32 := count_of(layers, "tf32")):
        notices.append(
            f"{tf32} of {len(layers)} {_words(len(layers))} are TF32, TensorRT's default for FP32: 10 bits of mantissa"
        )
    return notices


def _no_half(audit: Audit) -> str:
    build = "rtseg build --precision fp16 gives it FP16"
    if audit.engine.schema == "11":
        return f"an FP32 graph: TensorRT 11 has no FP16 flag and takes the types from the graph; {build}"
    return f"the FP16 builder flag was not set, or a strongly typed network was given an FP32 graph; {build}"


def _failure(request: str, got: str, layers: Sequence[AuditedLayer], reason: str) -> str:
    return f"{request} was asked for and not built; got {got} ({_names(layers)}); likely reason: {reason}"


def _of(part: Sequence[AuditedLayer], whole: Sequence[AuditedLayer]) -> str:
    return f"{len(part)} of {len(whole)} {_words(len(whole))}"


def _words(number: int) -> str:
    return "convolution or matrix product" if number == 1 else "convolutions and matrix products"


def _kinds(layers: Sequence[AuditedLayer]) -> str:
    return " and ".join(sorted({entry.precision for entry in layers}))


def _names(layers: Sequence[AuditedLayer]) -> str:
    return _listed([product_operator(entry.layer) for entry in layers])


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:NAMED])
    return f"{text} and {len(names) - NAMED} more" if len(names) > NAMED else text
