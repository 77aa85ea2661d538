"""Pictures cut into a grid of overlapping windows, as in AFFNet's training on Cityscapes.

Kuang et al. cut each 1024x2048 picture into eight patches of 880x880, two rows of four: 2,975 pictures become 23,800.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtseg.datasets.labelled import LabelledDataset, LabelledImage
from rtseg.errors import DatasetError, SpecError
from rtseg.specs import ClassSpec, Resolution


@dataclass(frozen=True)
class PatchGrid:
    """Equal windows that pictures are cut into: rows x columns of them, evenly spaced from edge to edge."""

    rows: int
    columns: int
    patch: Resolution

    @classmethod
    def parse(cls, text: str) -> PatchGrid:
        """Return the grid written as "write it as 2x4 of 880x880". Raises SpecError."""
        match = re.fullmatch(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,2}) of ([0-9]+x[0-9]+)", text)
        if match is None:
            raise SpecError(
                "not a grid of patches",
                got=repr(text),
                expected="ROWSxCOLUMNS of HEIGHTxWIDTH",
                hint="write it as 2x4 of 880x880",
            )
        return cls(int(match[1]), int(match[2]), Resolution.parse(match[3]))

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} of {self.patch}"


class Patches:
    """Every window of every picture of another dataset: picture by picture, row by row.

    A patch is a copy: changing it leaves its neighbours unchanged. The last picture is kept, so consecutive windows of
    a picture cost one decoding.
    """

    def __init__(self, dataset: LabelledDataset, grid: PatchGrid) -> None:
        self._dataset = dataset
        self._grid = grid
        self._kept: tuple[int, LabelledImage] | None = None

    @property
    def classes(self) -> ClassSpec:
        """The classes of the dataset that is cut."""
        return self._dataset.classes

    def __len__(self) -> int:
        return len(self._dataset) * self._grid.rows * self._grid.columns

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one window. Raises DatasetError for a picture that the grid does not fit, IndexError past the end."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        picture, window = divmod(index, self._grid.rows * self._grid.columns)
        row, column = divmod(window, self._grid.columns)
        item = self._picture(picture)
        size = self._grid.patch
        height, width = item.labels.shape
        tops = self._starts(item, height, size.height, self._grid.rows)
        lefts = self._starts(item, width, size.width, self._grid.columns)
        inside = slice(tops[row], tops[row] + size.height), slice(lefts[column], lefts[column] + size.width)
        name = f"{item.name}_row{row}_column{column}"
        return LabelledImage(name, item.image[inside].copy(), item.labels[inside].copy())

    def _picture(self, index: int) -> LabelledImage:
        if self._kept is None or self._kept[0] != index:
            self._kept = index, self._dataset[index]
        return self._kept[1]

    def _starts(self, item: LabelledImage, length: int, side: int, count: int) -> list[int]:
        if not side <= length <= side * count:
            raise DatasetError(
                f"{item.name} cannot be cut into patches: "
                + ("it is smaller than one" if length < side else "they would leave gaps"),
                got="x".join(map(str, item.labels.shape)),
                expected=f"a size that {self._grid} covers",
            )
        return evenly_spaced(length, side, count)


def evenly_spaced(length: int, side: int, count: int) -> list[int]:
    """Return where `count` windows of length `side` start along a length: the first at 0, the last ends at the end.

    Requires side <= length <= side * count.
    """
    return [index * (length - side) // max(1, count - 1) for index in range(count)]
