"""What every backend offers: runs of a graph on arrays, a bound step that can be timed, and whole frames if it can."""

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
    """One inference on preallocated buffers.

    Calling it runs the graph once and returns when the output is complete. It reads `input` and overwrites `output`;
    both stay the same buffers for the life of the step. Use it from one thread at a time.
    """

    input: Array
    output: Array

    @abstractmethod
    def __call__(self) -> None:
        """Run the graph once, from `input` to `output`."""


class FrameStep(ABC):
    """A whole frame on preallocated buffers: write `image`, call the step, read `labels` and `overlay`.

    All are in host memory and stay the same buffers for the life of the step. image is uint8 RGB (height, width, 3).
    Each call overwrites labels, uint8 (height, width), and overlay, uint8 RGB (height, width, 3): the image with the
    class colours blended over it. overlay is None unless bind got an opacity. Use the step from one thread at a time.
    """

    image: Pixels
    labels: Pixels
    overlay: Pixels | None = None

    @abstractmethod
    def __call__(self) -> None:
        """Take the image through preprocessing, graph and postprocessing once; return when all is complete."""


class ResidentStep(Protocol):
    """A whole frame whose image and labels stay in a device's memory: nothing is copied to or from the host.

    image and labels are the objects that were bound, or arrays made for the step. overlay is an array on the device,
    uint8 RGB (height, width, 3), None unless requested. Use the step from one thread at a time.
    """

    @property
    def image(self) -> object:
        """The image that each run reads."""

    @property
    def labels(self) -> object:
        """The labels that each run overwrites."""

    @property
    def overlay(self) -> object:
        """The overlay that each run overwrites; None unless requested."""

    def __call__(self) -> None:
        """Take the image through the frame once; return when all is complete."""

    def launch(self) -> None:
        """Enqueue one frame on the step's stream and return at once."""

    def wait(self) -> None:
        """Return when all work on the stream is done."""

    def close(self) -> None:
        """Free the memory that belongs to the step; it cannot run afterwards."""


class Frames(ABC):
    """Whole frames of a runner, for images of any size. Safe to call from several threads at once."""

    @abstractmethod
    def __call__(self, image: Pixels, *, out: Pixels | None = None) -> Pixels:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image. Raises ImageError.

        If out, of the result's type and shape and C-contiguous, is given, it is filled and returned instead of a new
        array.
        """

    @abstractmethod
    def with_overlay(self, image: Pixels, opacity: float) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with the class colours blended over it, both new arrays.

        opacity is from 0 to 1. Raises ImageError and SpecError.
        """

    @abstractmethod
    def bind(self, image: Pixels, *, overlay: float | None = None) -> FrameStep:
        """Return a step for frames of that image's size; the image is copied into it.

        With overlay, an opacity from 0 to 1, the step also makes an overlay. Raises ImageError and SpecError.
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
        """Return a step between arrays that are already on the device. Raises RunnerError if the runner has no such."""


class Runner(ABC):
    """A graph with one input and one output, ready to run. Use it as a context manager.

    Construction is cheap; open() loads the graph and close() frees it. device describes the hardware in a few words for
    a table. notes, valid while open, lists anything unusual about running this file there. infer may be called from
    several threads.
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
        """The metadata properties in the file; None if there is no file, or if the backend drops them."""
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
        """Return a step on a copy of array that is where the graph computes, for timing the graph alone.

        On a GPU nothing is copied to or from the host; on the CPU it is the same step as bind's. Raises RunnerError for
        another shape or dtype.
        """
        return self.bind(array)

    def frames(self, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> Frames | None:
        """Return whole frames on the runner's own device; None if the host does preprocessing and postprocessing.

        Valid while open. threads limits the host's cores if such frames need them; 0 uses all.
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
            raise RunnerError(f"the {self.backend} runner is not open", hint="open it first: with runner: ...")
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
