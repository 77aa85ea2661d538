"""From an image to a label map, with any runner."""

from __future__ import annotations

from types import TracebackType
from typing import overload

from rtseg.errors import RtsegError, RunnerError
from rtseg.frame.arrays import Buffer, ImageLike, host_image, host_labels
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.host_frames import HostFrames
from rtseg.frame.palette import OPACITY
from rtseg.frame.preprocess import require_image
from rtseg.frame.protocol import Array, Frames, FrameStep, Pixels, ResidentStep, Runner
from rtseg.specs import ImageSpec, OutputSpec, tensor_shapes


class Segmenter:
    """The whole frame: preprocessing, the runner, and postprocessing, which turns logits into labels.

    If the runner can do both ends on its own device, it does the whole frame there; otherwise the host does them.
    Safe to call from several threads at once. threads limits the host's cores used; 0 uses all.
    """

    def __init__(self, runner: Runner, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> None:
        runner.open()
        expected = tensor_shapes(image, output)
        for side, got, shape in zip(("input", "output"), (runner.input.shape, runner.output.shape), expected):
            if got != shape:
                runner.close()
                raise RunnerError(f"the graph's {side} does not match its manifest", got=got, expected=shape)
        self.runner = runner
        self.image = image
        self.output = output
        self.threads = threads
        self._ends = HostEnds(image, output, threads)
        try:
            self._frames: Frames = runner.frames(image, output, threads=threads) or HostFrames(runner, self._ends)
        except RtsegError:
            runner.close()
            raise

    def __repr__(self) -> str:
        classes = self.output.classes
        return (
            f"Segmenter({self.image.resolution}, {len(classes)} classes, {self.runner.backend} on {self.runner.device})"
        )

    @overload
    def __call__(self, image: ImageLike) -> Pixels: ...

    @overload
    def __call__(self, image: ImageLike, *, out: Buffer) -> Buffer: ...

    def __call__(self, image: ImageLike, *, out: object = None) -> object:
        """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) image of any size.

        Labels come at the image's own size: logits and scores are interpolated directly to it, labels from the graph
        are resized with nearest neighbour.

        The image is a NumPy array, or an object in host memory with __dlpack__ or __array__, such as a tensor of torch
        or JAX; it is not copied. out may be any of these too, uint8 (height, width) and C-contiguous; it is filled and
        returned instead of a new array.

            labels = await asyncio.to_thread(segmenter, image)  # other Python threads run meanwhile

        Raises ImageError if image is not such an image, and SpecError if out cannot hold the labels.
        """
        given = host_image(image)
        if out is None:
            return self._frames(given)
        require_image(given)
        self._frames(given, out=host_labels(out, *given.shape[:2]))
        return out

    def with_overlay(self, image: ImageLike, opacity: float = OPACITY) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with each class's colour blended over it, uint8 RGB.

        opacity is from 0 (the image) to 1 (the colours). The labels are the same as without an overlay; both results
        are new arrays. If the runner does whole frames on its device, it makes the overlay there too. Raises
        ImageError, and SpecError for an opacity out of range.
        """
        return self._frames.with_overlay(host_image(image), opacity)

    def tensor(self, image: ImageLike) -> Array:
        """Return the graph's input for that image, with a batch axis. Raises ImageError."""
        return self._ends.graph_input(host_image(image), self.runner.input.dtype)

    def labels(self, result: Array, *, height: int, width: int) -> Pixels:
        """Return the label map, uint8 (height, width), for a graph's result on one image of that size."""
        return self._ends.labels(result, height=height, width=width)

    def bind(self, image: ImageLike, *, overlay: float | None = None) -> FrameStep:
        """Return the whole frame as a step from that image in host memory to its label map.

        With overlay, the opacity of the class colours from 0 to 1, the step also makes an overlay. All buffers are
        allocated once; each call overwrites the step's `labels` and `overlay`. Use it from one thread at a time.

        Raises ImageError, and SpecError for an opacity out of range.
        """
        return self._frames.bind(host_image(image), overlay=overlay)

    def bind_device(
        self,
        image: object,
        labels: object = None,
        *,
        overlay: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> ResidentStep:
        """Return the whole frame as a step between an image and a label map that are both on the GPU, without copies.

        image is uint8 RGB (height, width, 3), labels uint8 (height, width): tensors of torch, CuPy or JAX, any object
        with __dlpack__ or __cuda_array_interface__, or pointers as integers. Labels are allocated if not given, and so
        is the overlay, whose opacity is from 0 to 1. size is (height, width); a bare pointer needs it.

            step = segmenter.bind_device(tensor)
            step()
            torch.as_tensor(step.labels, device="cuda")  # the same memory

        Raises RunnerError unless the runner is tensorrt, tensorrt-pycuda or tensorrt-rtx, which do the whole frame on
        the GPU. Raises it too for a graph that returns labels itself, unless the image has the graph's size. Raises
        CudaError for arrays that do not fit, and SpecError for an opacity out of range.
        """
        return self._frames.bind_device(image, labels, overlay=overlay, size=size)

    def close(self) -> None:
        """Free the runner, and the host threads used for preprocessing and postprocessing."""
        self.runner.close()
        self._ends.workspaces.free()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
