"""Choose the passes that lower the cost in TensorRT for RTX, and cache the choice for the next build of the graph."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from rtseg.artifacts.cache import Cache
from rtseg.artifacts.files import sha256_of
from rtseg.engines import lowering
from rtseg.engines.lowering.versions import Capability
from rtseg.engines.platform import capability_text
from rtseg.engines.rewriting.choice import Rewriting, repeated, rewritten_where_it_pays
from rtseg.engines.rewriting.cost import Cost, compiled_cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.errors import EngineError, WriteError
from rtseg.graphs.identity import model_sha256
from rtseg.observer import SILENT, Observer
from rtseg.runners.tensorrt.module import TensorRtRtx

CHOICES = Cache("rewriting", ".json", keep=1024)
FORMAT = "rtseg-rewriting/1"


def rewritten_for_rtx(
    trt: TensorRtRtx,
    model: onnx.ModelProto,
    precision: str,
    capability: Capability,
    passes: Sequence[GraphPass],
    observer: Observer = SILENT,
) -> Rewriting:
    """Return the graph after the passes that lower its cost in that precision, for that compute capability.

    A choice takes one or two builds for every pass that applies; observer receives its progress. It is cached by graph,
    precision, compute capability, release and passes. If the compiler refuses the original graph, nothing is rewritten:
    the build itself will say why. Raises QuantizationError if the file does not have that precision.
    """

    def judge(candidate: onnx.ModelProto) -> Cost:
        return compiled_cost(trt, candidate, precision, capability)

    key = [FORMAT, model_sha256(model), precision, capability_text(capability), trt.__version__, _code()]
    if (kept := _kept(key)) is not None:
        with contextlib.suppress(KeyError, TypeError):  # whole, but of something else
            return repeated(model, passes, kept)
    try:
        made = rewritten_where_it_pays(model, passes, judge, observer)
    except EngineError:
        return Rewriting(model)
    with contextlib.suppress(WriteError):
        CHOICES.write(CHOICES.path(key), json.dumps(made.to_json()).encode("ascii"))
    return made


def _kept(key: object) -> Mapping[str, Any] | None:
    with contextlib.suppress(ValueError, WriteError):
        found = json.loads(CHOICES.read(CHOICES.path(key)) or b"null")
        return found if isinstance(found, dict) else None
    return None


@functools.cache
def _code() -> str:
    """Return a digest of the modules that rewrite and lower graphs: if one of them changes, choices are made again."""
    folders = (Path(__file__).parent, Path(lowering.__file__).parent)
    files = sorted(file for folder in folders for file in folder.glob("*.py"))
    return hashlib.sha256("".join(map(sha256_of, files)).encode("ascii")).hexdigest()
