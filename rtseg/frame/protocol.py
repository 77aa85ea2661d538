"""What every backend offers: run a graph on arrays, a bound step that can be timed, and whole frames where it can."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from rtseg.errors import RunnerError
from rtseg.specs import ImageSpec, OutputSpec

Array = NDArray[Any]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TensorSpec:
    """Name, static shape and NumPy dtype of a graph's input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Step(ABC):
    """One inference on buffers that are already in place.

    Calling it runs the graph once and returns when the output is complete. It reads `input` and
    overwrites `output`; both stay the same buffers for the life of the step. One thread at a time.
    """

    input: Array
    output: Array

    @abstractmethod
    def __call__(self) -> None:
        """Run the graph once, from `input` to `output`."""


class FrameStep(ABC):
    """A whole frame on buffers that are already in place: write `image`, call it, read `labels`, and `overlay`.

    All are in host memory and stay the same buffers for the life of the step: image uint8 RGB (height, width, 3),
    labels uint8 (height, width), overwritten by each call, and so is overlay, uint8 RGB (height, width, 3): the image
    with the class colours laid over it, None unless bind was given an opacity. One thread at a time.
    """

    image: Pixels
    labels: Pixels
    overlay: Pixels | None = None

    @abstractmethod
    def __call__(self) -> None:
        """Take the image through preprocessing, graph and tail once; return when all is complete."""


class ResidentStep(Protocol):
    """A whole frame whose image and labels stay in a device's memory: nothing is copied to the host or from it.

    image and labels are the objects that were bound, or were made for it; overlay is an array on the device, uint8 RGB
    (height, width, 3), None unless it was asked for. One thread at a time.
    """

    @property
    def image(self) -> object:
        """What each run reads."""

    @property
    def labels(self) -> object:
        """What each run overwrites."""

    @property
    def overlay(self) -> object:
        """What each run overwrites too; None where no overlay was asked for."""

    def __call__(self) -> None:
        """Take the image through the frame once; return when all is complete."""

    def launch(self) -> None:
        """Put one frame into the step's stream and return at once."""

    def wait(self) -> None:
        """Return when everything in the stream is done."""

    def close(self) -> None:
        """Free what the step alone holds; it cannot run any more."""


class Frames(ABC):
    """Whole frames behind a runner, of images of any size. Safe to call from several threads at once."""

    @abstractmethod
    def __call__(self, image: Pixels, *, out: Pixels | None = None) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image. Raises ImageError.

        out, of the result's type and shape and C-contiguous, is filled and returned instead of a new array.
        """

    @abstractmethod
    def with_overlay(self, image: Pixels, opacity: float) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with the class colours laid over it, both new arrays.

        opacity is from 0 to 1. Raises ImageError and SpecError.
        """

    @abstractmethod
    def bind(self, image: Pixels, *, overlay: float | None = None) -> FrameStep:
        """Return a step for frames of that image's size; the image is copied into it.

        overlay is an opacity from 0 to 1, for a step that gives an overlay. Raises ImageError and SpecError.
        """

    @abstractmethod
    def bind_device(
        self,
        image: object,
        labels: object = None,
        *,
        overlay: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> ResidentStep:
        """Return a step between arrays that are on the device already. Raises RunnerError where there are none such."""


class Runner(ABC):
    """A graph with one input and one output, ready to run. Use it as a context manager.

    Constructing is cheap; the graph is loaded by open() and freed by close(). device says what it
    runs on, in words that can stand in a table; notes, once it is open, what is out of the ordinary
    about running this file there. infer may be called from several threads.
    """

    device: str
    backend: str
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._open = False

    @property
    @abstractmethod
    def input(self) -> TensorSpec:
        """The graph's input. Valid while open."""

    @property
    @abstractmethod
    def output(self) -> TensorSpec:
        """The graph's output. Valid while open."""

    @property
    def metadata(self) -> dict[str, str] | None:
        """The metadata properties written into the file; None where there is no file, or the backend drops them."""
        return None

    def open(self) -> None:
        """Load the graph. Raises RunnerError. Opening an open runner does nothing."""
        if not self._open:
            self._load()
            self._open = True

    def close(self) -> None:
        """Free the graph. Closing a closed runner does nothing."""
        if self._open:
            self._open = False
            self._free()

    def infer(self, array: Array) -> Array:
        """Return the graph's output for the input, as a new array. Raises RunnerError for another shape or dtype."""
        self._require(array)
        return self._infer(array)

    def bind(self, array: Array) -> Step:
        """Return a step that runs on a copy of array. Raises RunnerError for another shape or dtype."""
        self._require(array)
        return self._bind(array)

    def bind_resident(self, array: Array) -> Callable[[], None]:
        """Return a step on a copy of array that lies where the graph computes, for timing the graph alone.

        On a GPU nothing is copied to the host or from it; on the CPU it is bind's step. Raises RunnerError for another
        shape or dtype.
        """
        return self.bind(array)

    def frames(self, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> Frames | None:
        """Return whole frames on the runner's own device; None where the host does the two ends. Valid while open.

        threads bounds the cores of the host that such frames use where they need it; 0 is all.
        """
        return None

    @abstractmethod
    def _load(self) -> None: ...

    @abstractmethod
    def _free(self) -> None: ...

    @abstractmethod
    def _infer(self, array: Array) -> Array: ...

    @abstractmethod
    def _bind(self, array: Array) -> Step: ...

    def _require(self, array: Array) -> None:
        if not self._open:
            raise RunnerError(f"the {self.backend} runner is not open", hint="with runner: ...")
        if array.shape != self.input.shape or array.dtype != np.dtype(self.input.dtype):
            raise RunnerError(
                f"the input {self.input.name} does not fit",
                got=f"{array.dtype} {array.shape}",
                expected=f"{self.input.dtype} {self.input.shape}",
            )

    def __enter__(self) -> Runner:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
