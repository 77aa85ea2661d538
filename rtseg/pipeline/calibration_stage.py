"""Make a calibration table from an FP32 ONNX file and pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import Digest
from rtseg.artifacts.files import PathLike, require_writable, sha256_of
from rtseg.artifacts.manifest import require_separate
from rtseg.errors import CalibrationError
from rtseg.frame.workspaces import require_threads
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import require_at_least
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result

if TYPE_CHECKING:
    from rtseg.calibration.image_set import ImageSet
    from rtseg.calibration.selection import Selection
    from rtseg.calibration.table import CalibrationTable

DEFAULT_SPLIT, DEFAULT_IMAGES, DEFAULT_PERCENTILE = "train", 64, 99.99


@dataclass(frozen=True, repr=False)
class CalibrationResult(Result):
    """The table of ranges, its path (None if not written) and digest, its pictures, and the seconds it took."""

    table: CalibrationTable
    path: Path | None
    sha256: Digest
    image_set: ImageSet
    seconds: float

    def _document(self) -> Mapping[str, Any]:
        """Return the path and the facts about the table, without its ranges."""
        from rtseg.calibration.summary import calibration_facts

        path = None if self.path is None else str(self.path)
        return {"table": path, **calibration_facts(self.table), "seconds": self.seconds}


def calibrate(
    source: ArtifactLike,
    data: str,
    output: PathLike | None = None,
    *,
    split: str | None = None,
    images: int | None = None,
    method: str = "percentile",
    percentile: float | None = None,
    image_set: PathLike | None = None,
    save_set: PathLike | None = None,
    threads: int = 0,
    observer: Observer = SILENT,
) -> CalibrationResult:
    """Measure the range of every activation of an FP32 ONNX file on some pictures, and write the table to output.

    data is a dataset ("camvid:DIR", "streets", "images:DIR"). `images` pictures (64) of its split ("train") are used,
    evenly spread, or exactly those listed in the file image_set. method chooses a threshold: "percentile" (by default
    99.99 per cent), "minmax", "entropy" or "mse". save_set is a path for the list of the pictures used. Calling it
    again continues an interrupted run; another method on the same pictures needs no second pass. threads limits the
    cores used; 0 means all.

    Raises MissingDependencyError, ManifestError, OnnxError, CalibrationError, DatasetError, RunnerError and WriteError.
    """
    with needed_for("calibrating"):
        from rtseg.calibration.measurement import measured_ranges, require_fp32
        from rtseg.calibration.summary import calibration_facts, settling_warning
        from rtseg.calibration.thresholds import Method

    if image_set is not None and (split is not None or images is not None):
        raise CalibrationError("an image set lists the pictures, so split and images cannot be given")
    require_at_least(1, images=images)
    require_threads(threads)
    started = time.monotonic()
    chosen = Method(method, DEFAULT_PERCENTILE if method == "percentile" and percentile is None else percentile)
    artifact = Artifact.open(source, kind="onnx")
    require_fp32(artifact)
    for written, others in ((output, (artifact.path, image_set)), (save_set, (artifact.path, image_set, output))):
        if written is not None:
            require_separate(written, *others)
            require_writable(written)
    wanted = images or DEFAULT_IMAGES
    selection = _selection(artifact, data, split or DEFAULT_SPLIT, wanted, image_set, observer)
    table = measured_ranges(artifact, selection, chosen, threads=threads, observer=observer)
    if output is not None:
        table.write(output)
    if save_set is not None:
        selection.image_set().write(save_set)
    exhausted = image_set is not None or len(selection.chosen) < wanted
    if warning := settling_warning(calibration_facts(table), exhausted=exhausted):
        observer.warning(warning)
    path = None if output is None else Path(output)
    digest = None if path is None else sha256_of(path)
    return CalibrationResult(table, path, digest, selection.image_set(), time.monotonic() - started)


def _selection(
    artifact: Artifact, data: str, split: str, images: int, set_path: PathLike | None, observer: Observer
) -> Selection:
    from rtseg.calibration.image_set import ImageSet
    from rtseg.calibration.selection import select, select_named
    from rtseg.datasets.registry import is_labelled, open_pictures, source_name

    image = artifact.manifest.image
    named = None if set_path is None else ImageSet.read(set_path)
    source = open_pictures(data, split if named is None else named.split, observer)
    if named is not None:
        return select_named(source, source_name(data), named, image, observer=observer)
    label = split if is_labelled(data) else ""
    selection = select(source, source_name(data), label, image, count=images, observer=observer)
    if len(selection.chosen) < images:
        observer.note(f"there are only {len(selection.chosen)} pictures, not {images}: all of them are taken")
    return selection
