"""An image in, a label map out, over any runner."""

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
    """The whole frame: preprocessing, the runner, and the tail that turns logits into labels.

    Where the runner has the two ends on its own device it does the frame; else they are done here, on the host.
    Safe to call from several threads at once. threads bounds the cores the host's ends use; 0 is all.
    """

    def __init__(self, runner: Runner, image: ImageSpec, output: OutputSpec, *, threads: int = 0) -> None:
        runner.open()
        expected = tensor_shapes(image, output)
        for side, got, shape in zip(("input", "output"), (runner.input.shape, runner.output.shape), expected):
            if got != shape:
                runner.close()
                raise RunnerError(f"the graph's {side} is not what its manifest says", got=got, expected=shape)
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

        Labels come at the image's own size: logits and scores are interpolated straight to it, a
        graph that gives labels itself has them resized to the nearest.

        The image is a NumPy array, or a tensor of torch, JAX or another library in host memory: whatever has
        __dlpack__ or __array__, of which no copy is made. out, uint8 (height, width) and C-contiguous, one of these
        too, is filled and returned instead of a new array.

            labels = await asyncio.to_thread(segmenter, image)  # the interpreter is free meanwhile

        Raises ImageError for what is no such image, and SpecError for an out that cannot hold the labels.
        """
        given = host_image(image)
        if out is None:
            return self._frames(given)
        require_image(given)
        self._frames(given, out=host_labels(out, *given.shape[:2]))
        return out

    def with_overlay(self, image: ImageLike, opacity: float = OPACITY) -> tuple[Pixels, Pixels]:
        """Return the label map of an image, and the image with each class's colour laid over it, uint8 RGB.

        opacity is from 0, the image, to 1, the colours. The labels are those of a plain call, both are new arrays, and
        the runner's device does all of it where it does the frame. Raises ImageError, and SpecError for an opacity out
        of range.
        """
        return self._frames.with_overlay(host_image(image), opacity)

    def tensor(self, image: ImageLike) -> Array:
        """Return what the graph takes for that image, batch axis included. Raises ImageError."""
        return self._ends.graph_input(host_image(image), self.runner.input.dtype)

    def labels(self, result: Array, *, height: int, width: int) -> Pixels:
        """Return the label map, uint8 (height, width), of a graph's result for one image."""
        return self._ends.labels(result, height=height, width=width)

    def bind(self, image: ImageLike, *, overlay: float | None = None) -> FrameStep:
        """Return the whole frame as a step: that image in host memory in, its label map out.

        With overlay, the opacity of the class colours from 0 to 1, the step lays them over the image too. All buffers
        are made once; `labels` and `overlay` of the step are overwritten by each call. One thread at a time.

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
        """Return the whole frame as a step between an image and a label map that both are on the GPU: no copies.

        image is uint8 RGB (height, width, 3), labels uint8 (height, width): tensors of torch, CuPy or JAX, whatever has
        __dlpack__ or __cuda_array_interface__, or pointers as numbers. Labels that are not given are made, as the
        overlay is, whose opacity is from 0 to 1. size is (height, width), for a bare pointer.

            step = segmenter.bind_device(tensor)
            step()
            torch.as_tensor(step.labels, device="cuda")  # the same memory

        Raises RunnerError unless the runner is tensorrt, tensorrt-pycuda or tensorrt-rtx, which do the whole frame on
        the GPU, and for a graph that gives labels itself unless the image has its size; CudaError for arrays that do
        not fit; SpecError for an opacity out of range.
        """
        return self._frames.bind_device(image, labels, overlay=overlay, size=size)

    def close(self) -> None:
        """Free the runner, and the threads of the host's ends."""
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
