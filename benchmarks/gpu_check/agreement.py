"""How far label maps agree with stored ones, picture by picture, and how right both are where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from benchmarks.gpu_check.cases import Case, CaseFolder, Pixels
from rtseg.accuracy.confusion import ConfusionMatrix
from rtseg.artifacts.manifest import Manifest
from rtseg.specs import ClassSpec


@dataclass(frozen=True)
class Compared:
    """One picture: the label map in question, ONNX Runtime's, and the truth where it is known."""

    name: str
    data: str
    labels: Pixels
    reference: Pixels
    truth: Pixels | None


def compare(
    folder: CaseFolder, case: Case, precision: str, labels_of: Callable[[Pixels], Pixels], *, own_size: bool = False
) -> dict[str, Any]:
    """Return how the labels that labels_of gives for the case's pictures agree with ONNX Runtime's of that precision.

    own_size leaves out the pictures that are not of the case's own size.
    """
    compared = []
    for stored, reference in zip(case.pictures, folder.references(case, precision)):
        if own_size and (stored.height, stored.width) != (case.size.height, case.size.width):
            continue
        image, truth = folder.picture(stored)
        compared.append(Compared(stored.name, stored.data, labels_of(image), reference, truth))
    return agreement_of(compared, Manifest.from_json(case.checkpoint).output.classes)


def agreement_of(compared: Sequence[Compared], classes: ClassSpec) -> dict[str, Any]:
    """Return the share of equal labels, of all pixels and by picture, and by dataset the mIoU of both label maps."""
    equal = [int(np.count_nonzero(one.labels == one.reference)) for one in compared]
    pixels = [one.reference.size for one in compared]
    return {
        "share": sum(equal) / sum(pixels),
        "pixels": sum(pixels),
        "pictures": [
            {"name": one.name, "data": one.data, "share": same / size}
            for one, same, size in zip(compared, equal, pixels)
        ],
        "miou": _miou([one for one in compared if one.truth is not None], classes),
    }


def _miou(compared: Sequence[Compared], classes: ClassSpec) -> dict[str, dict[str, float | None]]:
    counts: dict[str, tuple[ConfusionMatrix, ConfusionMatrix]] = {}
    for one in compared:
        assert one.truth is not None
        own, reference = counts.setdefault(one.data, (ConfusionMatrix(classes), ConfusionMatrix(classes)))
        own.add(one.truth, one.labels)
        reference.add(one.truth, one.reference)
    return {
        data: {"labels": own.result().miou, "onnxruntime": reference.result().miou}
        for data, (own, reference) in counts.items()
    }
