"""Measure a segmenter against a dataset's labels, one picture at a time."""

from __future__ import annotations

from rtseg.accuracy.confusion import AccuracyResult, ConfusionMatrix
from rtseg.datasets.labelled import LabelledDataset, require_labels
from rtseg.datasets.own_classes import OWN
from rtseg.datasets.registry import dataset_names
from rtseg.errors import DatasetError
from rtseg.frame.segmenter import Segmenter
from rtseg.observer import SILENT, Observer
from rtseg.specs import ClassSpec

TASK = "validating"


def measured_accuracy(
    segmenter: Segmenter,
    dataset: LabelledDataset,
    *,
    limit: int | None = None,
    observer: Observer = SILENT,
) -> AccuracyResult:
    """Return mIoU, class IoUs and pixel accuracy at the labels' own resolution.

    One confusion matrix covers all pictures. No picture is kept, so memory does not grow with their number. limit
    takes only the first pictures. A segmenter may have more classes after the dataset's own, such as void: predicting
    one of them counts as an error of the true class. Raises DatasetError if the segmenter's first classes are not the
    dataset's, and if no pixel is labelled.
    """
    require_same_classes(segmenter, dataset.classes)
    matrix = ConfusionMatrix(dataset.classes)
    total = len(dataset) if limit is None else min(limit, len(dataset))
    for index in range(total):
        item = dataset[index]
        if index == 0:
            require_labels(dataset, limit=limit, first=item, observer=observer)
        matrix.add(item.labels, segmenter(item.image))
        observer.progress(TASK, index + 1, total)
    return matrix.result()


def require_same_classes(segmenter: Segmenter, classes: ClassSpec) -> None:
    """Raise DatasetError unless the segmenter's first classes are the dataset's."""
    ours = segmenter.output.classes
    if ours.names[: len(classes)] != classes.names:
        raise DatasetError(
            "the artifact and the dataset have different classes",
            got=classes.words(ours),
            expected=ours.words(classes),
            hint=_data_for(ours, classes),
        )


def _data_for(ours: ClassSpec, refused: ClassSpec) -> str:
    """Return which data fits an artifact of these classes."""
    if ours.dataset in dataset_names() and ours.dataset != refused.dataset:
        return f"pass --data {ours.dataset}:PATH"
    if not ours.dataset and len(ours) == len(refused):
        named = "FILE.toml, the list of the data" if refused.dataset == OWN else refused.dataset
        return f"run rtseg export or import-onnx again with --classes {named}: this file only numbers its classes"
    return (
        "pass data whose classes have these names, such as own:PATH, or run rtseg validate FILE --against OTHER "
        "--data images:FOLDER, which needs no labels"
    )
