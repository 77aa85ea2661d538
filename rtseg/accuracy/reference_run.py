"""Compare segmenters with a reference: one candidate in one pass, or many with stored label maps."""

from __future__ import annotations

from typing import Union, cast

from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.comparison_count import ComparisonCount
from rtseg.accuracy.confusion import Labels
from rtseg.accuracy.validation import require_same_classes
from rtseg.datasets.labelled import LabelledDataset, LabelledImage, require_labels
from rtseg.datasets.pictures import PictureSource
from rtseg.errors import DatasetError, SpecError
from rtseg.frame.segmenter import Segmenter
from rtseg.observer import SILENT, Observer
from rtseg.specs import ClassSpec

Pictures = Union[LabelledDataset, PictureSource]
"""With labels both mIoUs are measured; without labels only agreement."""

MAX_LABEL_BYTES = 1 << 30
"""512 label maps of 1024x2048."""


def compare(
    candidate: Segmenter,
    reference: Segmenter,
    pictures: Pictures,
    *,
    limit: int | None = None,
    observer: Observer = SILENT,
) -> Comparison:
    """Return how the candidate compares with the reference on the same pictures.

    Each picture is read once and dropped when both have labelled it; memory grows by four integers for each class and
    picture. The two may run at different resolutions: their labels come at the picture's own. limit takes only the
    first pictures. Raises DatasetError if the classes of the two or of the dataset differ, and if no pixel is
    labelled.
    """
    _require_equal_classes(candidate, reference.output.classes)
    count = ComparisonCount(reference.output.classes, _truth_classes(reference, pictures))
    total = _total(pictures, limit)
    for index in range(total):
        item = pictures[index]
        if index == 0:
            _require_labels(pictures, item, limit, observer)
        count.add(reference(item.image), candidate(item.image), _truth(item))
        observer.progress("comparing", index + 1, total)
    return count.result()


class ReferenceRun:
    """A reference's label maps of some pictures: compare many candidates with them, and run the reference only once.

    Memory holds the maps, label_bytes in all (one byte for each pixel). It does not hold the pictures and their
    labels: each comparison reads them again.

    Example: run = ReferenceRun(fp32, dataset, limit=50); drops = [run.compare_with(one).drop for one in candidates]
    """

    def __init__(
        self,
        reference: Segmenter,
        pictures: Pictures,
        *,
        limit: int | None = None,
        max_bytes: int = MAX_LABEL_BYTES,
        observer: Observer = SILENT,
    ) -> None:
        """Run the reference on the pictures, or on the first limit of them; it may be closed afterwards.

        Raises DatasetError if the dataset has other classes, is empty or has no labelled pixel, and SpecError if the
        label maps take more than max_bytes.
        """
        self.classes = reference.output.classes
        self._pictures = pictures
        self._truth_classes = _truth_classes(reference, pictures)
        self._label_maps: list[Labels] = []
        self.label_bytes = 0
        total = _total(pictures, limit)
        for index in range(total):
            item = pictures[index]
            if index == 0:
                _require_labels(pictures, item, limit, observer)
            labels = reference(item.image)
            self._label_maps.append(labels)
            self.label_bytes += labels.nbytes
            if self.label_bytes > max_bytes:
                raise SpecError(
                    "the reference's label maps exceed the memory limit",
                    got=f"{self.label_bytes} bytes for {index + 1} of {total} pictures",
                    expected=f"at most {max_bytes}",
                    hint=f"pass --limit {max(index, 1)}",
                )
            observer.progress("running the reference", index + 1, total)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._label_maps)

    def compare_with(self, candidate: Segmenter, *, observer: Observer = SILENT) -> Comparison:
        """Return what compare returns for that candidate. Raises DatasetError as compare does."""
        _require_equal_classes(candidate, self.classes)
        count = ComparisonCount(self.classes, self._truth_classes)
        for index, labels in enumerate(self._label_maps):
            item = self._pictures[index]
            count.add(labels, candidate(item.image), _truth(item))
            observer.progress("comparing", index + 1, len(self))
        return count.result()


def _truth_classes(reference: Segmenter, pictures: Pictures) -> ClassSpec | None:
    """Return the classes of the labels, None without labels. Raises DatasetError if the reference has others."""
    classes: ClassSpec | None = getattr(pictures, "classes", None)
    if classes is not None:
        require_same_classes(reference, classes)
    return classes


def _require_labels(pictures: Pictures, first: object, limit: int | None, observer: Observer) -> None:
    """Raise DatasetError if there are label files but they hold only void."""
    if isinstance(first, LabelledImage):
        require_labels(cast(LabelledDataset, pictures), limit=limit, first=first, observer=observer)


def _truth(item: object) -> Labels | None:
    return item.labels if isinstance(item, LabelledImage) else None


def _total(pictures: Pictures, limit: int | None) -> int:
    total = len(pictures) if limit is None else min(limit, len(pictures))
    if total < 1:
        raise DatasetError("there is no picture to compare on", got=total, expected="1 or more")
    return total


def _require_equal_classes(candidate: Segmenter, expected: ClassSpec) -> None:
    got = candidate.output.classes
    if got.names != expected.names:
        raise DatasetError(
            "candidate and reference have different classes",
            got=got.words(expected),
            expected=expected.words(got),
            hint="compare two files of the same network, or import both with the same --classes",
        )
