"""Datasets by name: `camvid:PATH`, `cityscapes:PATH`, `voc:PATH`, `own:PATH`, and `streets`, which needs no files.

`images:PATH`, a folder of pictures without labels, is accepted where labels are not needed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Callable

from rtseg.datasets.camvid import CamVid
from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.cityscapes import Cityscapes
from rtseg.datasets.cityscapes_classes import CITYSCAPES_CLASSES
from rtseg.datasets.labelled import LabelledDataset
from rtseg.datasets.own import Own
from rtseg.datasets.own_classes import OWN, read_own_classes
from rtseg.datasets.pictures import DatasetPictures, FolderPictures, PictureSource
from rtseg.datasets.streets.dataset import STREETS_CLASSES, Streets
from rtseg.datasets.voc import VOC2012
from rtseg.datasets.voc_classes import VOC_CLASSES, voc_colour
from rtseg.errors import DatasetError, SpecError, UnknownNameError
from rtseg.observer import SILENT, Observer
from rtseg.specs import ClassSpec, Resolution


def _open_streets(argument: str, split: str, observer: Observer) -> LabelledDataset:
    return Streets(split, Resolution.parse(argument) if argument else Streets.DEFAULT_RESOLUTION)


def _open_camvid(argument: str, split: str, observer: Observer) -> LabelledDataset:
    return CamVid(_folder("camvid", argument), split, observer)


def _open_cityscapes(argument: str, split: str, observer: Observer) -> LabelledDataset:
    return Cityscapes(_folder("cityscapes", argument), split, observer)


def _open_voc(argument: str, split: str, observer: Observer) -> LabelledDataset:
    return VOC2012(_folder("voc", argument), split, observer)


def _open_own(argument: str, split: str, observer: Observer) -> LabelledDataset:
    is_file = argument.lower().endswith(".toml") or (os.path.lexists(argument) and not os.path.isdir(argument))
    return Own(Path(argument) if is_file else _folder(OWN, argument), split, observer)


_OPENERS: dict[str, tuple[Callable[[str, str, Observer], LabelledDataset], tuple[str, ...] | None]] = {
    "camvid": (_open_camvid, CamVid.SPLITS),
    "cityscapes": (_open_cityscapes, Cityscapes.SPLITS),
    OWN: (_open_own, None),  # its splits are the folders there are
    "streets": (_open_streets, Streets.SPLITS),
    "voc": (_open_voc, VOC2012.SPLITS),
}
_CLASSES = {spec.dataset: spec for spec in (CAMVID_CLASSES, CITYSCAPES_CLASSES, STREETS_CLASSES, VOC_CLASSES)}

UNLABELLED = "images"
"""The name before the colon for a folder of pictures."""


def dataset_names() -> list[str]:
    """Return the names of all datasets, sorted."""
    return sorted(_OPENERS)


def open_dataset(text: str, split: str, observer: Observer = SILENT) -> LabelledDataset:
    """Return the split of the dataset written as NAME, or NAME:PATH, or streets:HEIGHTxWIDTH.

    observer receives warnings about the pictures when they are read.
    Raises UnknownNameError for another name or split and DatasetError for a folder without the layout.
    """
    name, _, argument = text.partition(":")
    if name == UNLABELLED:
        raise DatasetError(f"{text} has no labels", expected=f"one of {', '.join(dataset_names())}")
    if name not in _OPENERS:
        raise UnknownNameError("dataset", name, _OPENERS)
    opener, splits = _OPENERS[name]
    if splits is not None and split not in splits:
        raise UnknownNameError(f"split of {name}", split, splits)
    return opener(argument, split, observer)


def is_labelled(text: str) -> bool:
    """Return whether the pictures of that text come with labels: all but images:PATH do."""
    return text.partition(":")[0] != UNLABELLED


def source_name(text: str) -> str:
    """Return the name of a dataset without its folder: camvid, streets:64x96, images."""
    name, _, _ = text.partition(":")
    return text if name == "streets" else name


def open_pictures(text: str, split: str, observer: Observer = SILENT) -> PictureSource:
    """Return the pictures of a dataset's split, written as for open_dataset, or of images:PATH, which has no splits.

    Raises UnknownNameError for another name or split and DatasetError for a folder without the layout.
    """
    name, _, argument = text.partition(":")
    if not is_labelled(text):
        return FolderPictures(_folder(name, argument), observer)
    if name not in _OPENERS:
        raise UnknownNameError("dataset", name, [*_OPENERS, UNLABELLED])
    return DatasetPictures(open_dataset(text, split, observer))


def class_spec(text: str) -> ClassSpec:
    """Return the classes of a dataset by its name, NAME+void, a number of unnamed classes, or a file FILE.toml.

    "+void" adds a last class for the dataset's unlabelled pixels: some published networks have an output for it. Raises
    UnknownNameError for another name, and SpecError for a number out of range and for a file that is no class list.
    """
    if text.lower().endswith(".toml"):
        return read_own_classes(text).spec
    if text.isdecimal():
        return _numbered_classes(int(text))
    name, plus, void = text.partition("+")
    if name not in _CLASSES or (plus and void != "void"):
        raise UnknownNameError("class list", text, [*_CLASSES, "NAME+void", "a number from 2 to 256", "FILE.toml"])
    spec = _CLASSES[name]
    return replace(spec, names=(*spec.names, "void"), palette=(*spec.palette, (0, 0, 0))) if plus else spec


def _numbered_classes(count: int) -> ClassSpec:
    if not 2 <= count <= 256:
        hint = (
            "pass --classes 2 (background and class); one output channel is enough for two classes"
            if count == 1
            else ""
        )
        raise SpecError("the number of classes is out of range", got=count, expected="2 to 256", hint=hint)
    return ClassSpec("", tuple(f"class {i}" for i in range(count)), tuple(voc_colour(i) for i in range(count)))


def _folder(name: str, argument: str) -> Path:
    if not argument:
        raise DatasetError(f"{name} needs a folder", got=name, expected=f"{name}:PATH")
    if not os.path.isdir(argument):  # unlike Path.is_dir it never raises, even for a folder that may not be entered
        raise DatasetError(f"no folder {argument}", expected=f"{name}:PATH")
    return Path(argument)
