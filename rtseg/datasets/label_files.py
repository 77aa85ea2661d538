"""Label files of a dataset: class indices, or an error that says what the file holds instead and how to convert it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.cityscapes_classes import CITYSCAPES_CLASSES
from rtseg.datasets.labelled import Image, Labels
from rtseg.datasets.voc_classes import VOC_CLASSES
from rtseg.errors import DatasetError, ImageError
from rtseg.images.files import orientation
from rtseg.images.label_png import StoredLabels, not_a_label_map, read_stored_labels
from rtseg.specs import ClassSpec, Colour

KNOWN = (CAMVID_CLASSES, CITYSCAPES_CLASSES, VOC_CLASSES)
"""The class lists whose colours are recognised."""

VOID_COLOURS = {(0, 0, 0), (255, 255, 255), (224, 224, 192)}
"""Colours that datasets give to unlabelled pixels."""

_SIDES_SWAPPED = 5
"""From this EXIF orientation on, height and width change places."""


def read_labels(path: Path, classes: ClassSpec, *, void: int, any_palette: bool = False) -> Labels:
    """Return the indices of a label file as stored, uint8 (height, width).

    void is the index of unlabelled pixels, beside the classes' ignore index. A palette shows what the indices mean: the
    palette of another dataset is refused, and so is an unknown palette unless any_palette is true. Raises ImageError,
    with the way to convert the file.
    """
    stored = _label_map(path, classes)
    labels: Labels = stored.values.astype(np.uint8, copy=False)
    if stored.palette:
        used = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist())
        _require_own_palette(path, stored, used - {void, classes.ignore_index}, classes, any_palette)
    return labels


def read_values(path: Path, classes: ClassSpec) -> Labels:
    """Return the values of a label file as stored, uint8 (height, width), whatever its palette shows.

    classes are named in the message. Raises ImageError, with the way to convert the file.
    """
    return _label_map(path, classes).values.astype(np.uint8, copy=False)


def _label_map(path: Path, classes: ClassSpec) -> StoredLabels:
    stored = read_stored_labels(path)
    if not stored.is_label_map:
        hint = _of_colours(stored.values, classes) if stored.values.ndim == 3 else _of_numbers(stored.values, classes)
        raise not_a_label_map(path, stored, hint)
    return stored


def read_labelled_picture(path: Path, read: Callable[[Path], Image]) -> Image:
    """Return a picture that has labels, uint8 RGB, as read returns it. Raises ImageError.

    Raises DatasetError if the file's EXIF data turn or mirror the picture and its size does not reveal whether the
    labels, which are never turned, were made for the stored or for the shown picture.
    """
    image = read(path)
    turned = orientation(path)
    if turned == 1 or (turned >= _SIDES_SWAPPED and image.shape[0] != image.shape[1]):
        return image
    raise DatasetError(
        f"the EXIF data of {path} turn or mirror it, and it is unclear whether its labels are turned too",
        got=f"EXIF orientation {turned}",
        expected="a picture that is stored as it is shown",
        hint="save it without EXIF data, turned as its labels are",
    )


def _require_own_palette(
    path: Path, stored: StoredLabels, used: set[int], classes: ClassSpec, any_palette: bool
) -> None:
    others = [other for other in KNOWN if other.palette != classes.palette]
    # Most files hold the whole palette; in the others only the colours in use can be compared.
    owner = next((other for other in others if _begins_with(stored, other)), None)
    if owner is None and (not used or _shows(stored, used, classes)):
        return
    owner = owner or next((other for other in others if _shows(stored, used, other)), None)
    if owner is not None:
        raise ImageError(
            f"{path} has the palette of {owner.dataset}",
            got=_named(owner, sorted(used)) or None,
            expected=f"the classes of {classes.dataset}: {_first(classes)}",
            hint=f"pass --data {owner.dataset}:PATH, or save indices of {classes.dataset} in one 8-bit channel "
            "without a palette",
        )
    if not any_palette:
        other = next(index for index in sorted(used) if not _shows(stored, [index], classes))
        raise ImageError(
            f"{path} has a palette that is not {classes.dataset}'s",
            got=f"{_colour(stored, other) or 'no colour'} for {other}",
            expected=f"{classes.palette[other]} for {other}" if other < len(classes) else f"{_last(classes)} at most",
            hint=f"save one 8-bit channel of class indices without a palette: {_first(classes)}",
        )


def _shows(stored: StoredLabels, used: Iterable[int], classes: ClassSpec) -> bool:
    """Return whether the palette gives each used index its colour in those classes."""
    return all(index < len(classes) and _colour(stored, index) == classes.palette[index] for index in used)


def _begins_with(stored: StoredLabels, classes: ClassSpec) -> bool:
    """Return whether the palette begins with all colours of those classes."""
    return stored.palette[: len(classes)] == classes.palette


def _colour(stored: StoredLabels, index: int) -> Colour | None:
    return stored.palette[index] if index < len(stored.palette) else None


def _of_colours(values: NDArray[np.integer], classes: ClassSpec) -> str:
    if (values[..., :1] == values).all():
        return "save one of the three equal channels as one 8-bit channel"
    codes = np.unique(values.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1]))
    colours = {(int(code >> 32), int(code >> 16 & 0xFFFF), int(code & 0xFFFF)) for code in codes[:512]}
    one_channel = "and save one 8-bit channel"
    if classes.dataset == CITYSCAPES_CLASSES.dataset:
        return "use NAME_gtFine_labelIds.png (NAME_gtFine_color.png is for viewing), or save class indices in 8 bits"
    if classes.palette == CAMVID_CLASSES.palette and len(codes) > 3 and not (values % 64).any():
        return (
            "use the SegNet tutorial's label files; or merge CamVid's own 32 colours into its 11 classes "
            f"({_first(classes)}), {one_channel}"
        )
    order = [classes, *(other for other in KNOWN if other.palette != classes.palette)]
    owner = next((spec for spec in order if colours <= {*spec.palette, *VOID_COLOURS}), None)
    if owner is classes:
        pairs = ", ".join(f"{classes.palette[index]} is {index}" for index in range(3))
        return f"replace each colour by the index of its class ({pairs}, ...), {one_channel}"
    if owner is not None:
        return (
            f"pass --data {owner.dataset}:PATH, as these are the colours of {owner.dataset}; "
            f"or replace each by the index of its class in {classes.dataset}, {one_channel}"
        )
    return (
        f"replace each of the {len(codes)} colours by the index of its class in {classes.dataset} "
        f"({_first(classes)}), {one_channel}"
    )


def _of_numbers(values: NDArray[np.integer], classes: ClassSpec) -> str:
    largest = int(values.max())
    if largest <= 255:
        return f"save the same values in 8 bits: none is above {largest}"
    if classes.dataset == CITYSCAPES_CLASSES.dataset:
        return (
            "use NAME_gtFine_labelIds.png, or save 8 bits: value // 1000 for instance ids from 1000 on, else the value"
        )
    return (
        f"save the index of each pixel's class in {classes.dataset} ({_first(classes)}) in 8 bits; values up to "
        f"{largest} number instances: if they follow Cityscapes' scheme, the class is value // 1000"
    )


def _first(classes: ClassSpec) -> str:
    return ", ".join(f"{index} {name}" for index, name in enumerate(classes.names[:3])) + ", ..."


def _last(classes: ClassSpec) -> str:
    return f"{len(classes) - 1} {classes.names[-1]}"


def _named(classes: ClassSpec, indices: Sequence[int]) -> str:
    return ", ".join(f"{index} for {classes.names[index]}" for index in indices[:3] if index < len(classes))
