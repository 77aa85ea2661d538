"""Judge whether an engine has the requested precision, and if not, name the likely reason.

The request applies to the convolutions and matrix products: TensorRT may keep a softmax in FP32 or a resize in FP16.

For a TensorRT for RTX engine, rtseg records the precision that the graph requests for each product, and each is
checked against it: a strongly typed graph leaves the compiler no choice, so every change is a failure. The check uses
the separate build for each compute capability. For other engines shares are judged (share_verdict).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8, sha256_of
from rtseg.artifacts.manifest import manifest_path
from rtseg.engines.formats import UNKNOWN
from rtseg.engines.inspector import RTX_SCHEMA
from rtseg.engines.layer_audit import Audit
from rtseg.engines.layers_file import engine_path, layers_beside
from rtseg.engines.product_words import first_names, part_of
from rtseg.engines.share_verdict import failures_of, notices_of
from rtseg.engines.typed_verdict import changed_products, wide_weights
from rtseg.errors import EngineError, ManifestError, UnknownNameError
from rtseg.runners.tensorrt.module import RTX
from rtseg.specs import PRECISIONS


@dataclass(frozen=True)
class EngineVerdict:
    """The answer to a request for a precision.

    failures are sentences on what is not as requested, each with the likely reason; notices are findings that meet the
    request but are unexpected. undecided says why the engine could not be judged, and is empty if it was. alone holds
    one verdict per compute capability, if there are separate ones.
    """

    request: str
    failures: tuple[str, ...]
    notices: tuple[str, ...]
    undecided: str = ""
    alone: Mapping[str, EngineVerdict] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the engine is proven to have the requested precision."""
        return not self.failures and not self.undecided

    def sentence(self) -> str:
        """Return the objections to the engine in one text, empty if there are none."""
        return self.undecided or ". Also, ".join(self.failures)

    def require(self) -> None:
        """Raise EngineError unless passed."""
        if not self.passed:
            raise EngineError(self.sentence())

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "request": self.request,
            "passed": self.passed,
            "failures": list(self.failures),
            "undecided": self.undecided,
            "notices": list(self.notices),
            "alone": {capability: verdict.to_json() for capability, verdict in self.alone.items()},
        }


def verdict_on(audit: Audit, request: str) -> EngineVerdict:
    """Return the verdict on an engine for a requested fp32, fp16 or int8. Raises UnknownNameError."""
    if request not in PRECISIONS:
        raise UnknownNameError("precision", request, PRECISIONS)
    if audit.alone:
        return _of_each({capability: verdict_on(part, request) for capability, part in audit.alone.items()}, request)
    if audit.engine.schema == RTX_SCHEMA:
        return _as_typed(audit, request)
    layers = audit.weighted
    if not layers:
        reason = "the engine has no convolution and no matrix product with known types"
        return EngineVerdict(request, (), (), undecided=reason)
    if unknown := [entry for entry in layers if entry.precision == UNKNOWN]:
        reason = (
            f"the types of {part_of(unknown, layers)} are unknown ({first_names(unknown)}): dynamic shapes are only "
            "known to an execution context. Try: save the layers with one, or build with static shapes"
        )
        return EngineVerdict(request, (), (), undecided=reason)
    failures = tuple(failures_of(audit, request))
    return EngineVerdict(request, failures, () if failures else tuple(notices_of(audit, request)))


def _as_typed(audit: Audit, request: str) -> EngineVerdict:
    asked, layers = audit.engine.asked, audit.layers
    if not asked:
        reason = "the graph has no convolution and no matrix product"
        return EngineVerdict(request, (), (), undecided=reason)
    failures = tuple(changed_products(asked, layers, request))
    return EngineVerdict(request, failures, () if failures else tuple(wide_weights(asked, layers)))


def _of_each(verdicts: Mapping[str, EngineVerdict], request: str) -> EngineVerdict:
    """Return the verdict on an engine for several compute capabilities, from the verdict on each."""
    failures = _by_text({capability: verdict.failures for capability, verdict in verdicts.items()})
    undecided = _by_text({capability: (verdict.undecided,) for capability, verdict in verdicts.items()})
    notices = _by_text({capability: verdict.notices for capability, verdict in verdicts.items()})
    return EngineVerdict(request, failures, notices, "; ".join(undecided), dict(verdicts))


def _by_text(each: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return each text once, with the compute capabilities that it applies to."""
    capabilities: dict[str, list[str]] = {}
    for capability, texts in each.items():
        for text in filter(None, texts):
            capabilities.setdefault(text, []).append(capability)
    return tuple(f"for {', '.join(names)}: {text}" for text, names in capabilities.items())


def requested_precision(path: PathLike) -> str | None:
    """Return the precision in the manifest of the engine at path, or beside it; None without a manifest.

    Raises ManifestError for an invalid manifest, one that does not match the engine file beside it, or, for TensorRT
    for RTX, one that does not match the layer file.
    """
    engine = engine_path(path)
    if engine is None or not manifest_path(engine).is_file():
        return None
    sidecar = manifest_path(engine)
    try:
        manifest = json.loads(read_utf8(sidecar))
        precision, digest, details = manifest["precision"], manifest["sha256"], manifest.get("details", {})
        layers_digest = details["layers_sha256"] if details.get("runtime") == RTX else None
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{sidecar} is not the manifest of an engine ({type(error).__name__}: {error})",
            hint="pass --expect PRECISION",
        ) from error
    if precision not in PRECISIONS:
        raise ManifestError(
            f"{sidecar} states no precision of an engine",
            got=repr(precision),
            expected=f"one of {', '.join(PRECISIONS)}",
        )
    if Path(engine).is_file() and sha256_of(engine) != digest:
        raise ManifestError(
            f"{engine} does not match its manifest",
            expected=f"sha256 {str(digest)[:12]}",
            hint="build it again",
        )
    layers = layers_beside(engine)
    if layers_digest is not None and layers.is_file() and sha256_of(layers) != layers_digest:
        raise ManifestError(
            f"{layers} does not match the manifest of {engine}",
            expected=f"sha256 {str(layers_digest)[:12]}",
            hint="build it again",
        )
    return str(precision)
