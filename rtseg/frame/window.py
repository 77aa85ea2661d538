"""The place of an image in the network's input: it covers all of it, or is letterboxed inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rtseg.errors import SpecError
from rtseg.frame.bilinear import MAX_SIDE, Part
from rtseg.specs import ImageSpec


@dataclass(frozen=True)
class Window:
    """A part of a canvas, the network's input: height rows from row top on, width columns from column left on.

    Raises SpecError unless the window is inside the canvas.
    """

    canvas_height: int
    canvas_width: int
    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for canvas, begin, length in (self.rows, self.columns):
            if not (1 <= canvas <= MAX_SIDE and length >= 1 and 0 <= begin <= canvas - length):
                raise SpecError("the window is not inside the network's input", got=self)

    @property
    def rows(self) -> Part:
        """The window along the vertical axis."""
        return Part(self.canvas_height, self.top, self.height)

    @property
    def columns(self) -> Part:
        """The window along the horizontal axis."""
        return Part(self.canvas_width, self.left, self.width)

    @property
    def is_whole(self) -> bool:
        """Whether the window covers the whole canvas."""
        return (self.height, self.width) == (self.canvas_height, self.canvas_width)

    def cut(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """Return the window of an array (..., canvas_height, canvas_width), without a copy."""
        return canvas[..., self.top : self.top + self.height, self.left : self.left + self.width]


def window_of(spec: ImageSpec, height: int, width: int) -> Window | None:
    """Return the window of a height x width image in the network's input; None if the image covers all of it.

    Computes the same as rtseg_letterbox_window in native/preprocess.cpp: in double, with halves to even.
    """
    if spec.fit == "stretch":
        return None
    factor = min(spec.height / height, spec.width / width)
    covered_height = min(max(round(height * factor), 1), spec.height)
    covered_width = min(max(round(width * factor), 1), spec.width)
    top, left = (spec.height - covered_height) // 2, (spec.width - covered_width) // 2
    window = Window(spec.height, spec.width, top, left, covered_height, covered_width)
    return None if window.is_whole else window
