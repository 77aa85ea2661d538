"""Measure, layer by layer, where two files of one network differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import require_at_least
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result
from rtseg.runners.registry import RUNNABLE

if TYPE_CHECKING:
    from rtseg.quantization.layer_drift import Drift


@dataclass(frozen=True, repr=False)
class DriftResult(Result):
    """The layers of two files, sorted by the error that each adds; the first beyond a threshold, if one was given.

    threshold is a fraction of the root mean square of the reference's values.
    """

    reference: Artifact
    other: Artifact
    data: str
    split: str | None
    drift: Drift
    threshold: float | None

    def _document(self) -> Mapping[str, Any]:
        """Return plain values, not nested."""
        first = None if self.threshold is None else self.drift.first_beyond(self.threshold)
        return {
            "reference": str(self.reference.path),
            "other": str(self.other.path),
            "data": self.data,
            "split": self.split,
            **self.drift.to_json(),
            "threshold": self.threshold,
            "first_beyond": None if first is None else first.tensor,
        }


def drift(
    reference: ArtifactLike,
    other: ArtifactLike,
    *,
    data: str = "streets",
    split: str = "val",
    images: int = 2,
    threshold: float | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> DriftResult:
    """Compare an ONNX file with its INT8 or FP16 version layer by layer, through Polygraphy.

    Each layer of other also runs on the reference's values, which gives the error that the layer itself adds. Errors
    are the root mean square of the difference divided by that of the reference's values, on `images` pictures of data.
    With threshold, a fraction, the result also has the first layer with a larger error. If one file is an engine, on a
    GPU, or an OpenVINO model, only the outputs are compared.

    Raises MissingDependencyError, ManifestError, OnnxError, SpecError for other contracts, DatasetError and
    RunnerError.
    """
    with needed_for("comparing two files layer by layer", "report"):
        from rtseg.quantization.layer_drift import measured_drift
    from rtseg.datasets.registry import is_labelled, open_pictures

    require_at_least(1, images=images)
    require_threads(threads)
    require_at_least(0, threshold=threshold)
    first, second = (Artifact.open(each, kind=RUNNABLE) for each in (reference, other))
    pictures = open_pictures(data, split, observer)
    result = measured_drift(first, second, pictures, images=images, threads=threads, observer=observer)
    return DriftResult(first, second, data.partition(":")[0], split if is_labelled(data) else None, result, threshold)
