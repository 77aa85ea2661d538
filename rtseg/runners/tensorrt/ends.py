"""Before and after the engine on the GPU: an image becomes its input; its output becomes labels and overlay."""

from __future__ import annotations

from dataclasses import dataclass

from rtseg.frame.host_ends import HostEnds
from rtseg.frame.palette import colour_table
from rtseg.frame.window import window_of
from rtseg.runners.cuda import ends
from rtseg.runners.cuda.end_kernels import EndKernels
from rtseg.runners.cuda.ends import Size
from rtseg.runners.cuda.protocol import DeviceMemory, Pointer, address
from rtseg.runners.tensorrt.lanes import Lane, allocated
from rtseg.runners.tensorrt.steps import Work, in_order
from rtseg.specs import ImageSpec, OutputSpec


@dataclass(frozen=True)
class FrameEnds:
    """The image and output contracts, and the kernels that implement them; none if the graph contains both ends.

    host implements them on the CPU, for images that such a graph does not accept directly.
    """

    host: HostEnds
    kernels: EndKernels | None

    @property
    def image(self) -> ImageSpec:
        """The contract of the image."""
        return self.host.image

    @property
    def output(self) -> OutputSpec:
        """The contract of the output."""
        return self.host.output

    def in_graph(self, size: Size) -> bool:
        """Return whether a graph without kernels accepts images of that size directly."""
        return size == (self.image.height, self.image.width) and self.image.colour_order == "RGB"

    def work(self, lane: Lane, size: Size, image: Pointer, labels: Pointer) -> Work:
        """Return the work that runs an image on the device through the lane, and writes its labels on the device."""
        if self.kernels is None:
            lane.place(lane.source, address(image))
            lane.place(lane.result, address(labels))
            return lane.execute
        tensor, logits = lane.source.spec, lane.result.spec
        classes, height, width = logits.shape[1:]
        shape = (classes, height, width)
        multiple = lane.result.channel_multiple
        front = ends.front(address(image), size, lane.input.handle, self.image, dtype=tensor.dtype)
        tail = ends.tail(
            *(lane.output.handle, shape, address(labels), size),
            align_corners=self.output.align_corners,
            dtype=logits.dtype,
            strides=ends.channels_last(shape, multiple) if multiple else None,
            threshold=self.output.threshold,
            window=window_of(self.image, *size),
        )
        return in_order(self.kernels.bound(front, lane.stream), lane.execute, self.kernels.bound(tail, lane.stream))


class Overlay:
    """Blends the class colours over an image on the device, once its labels are there. A call is one launch.

    memory is the result on the device, uint8 RGB (height, width, 3).
    """

    def __init__(
        self, lane: Lane, frame_ends: FrameEnds, size: Size, image: Pointer, labels: Pointer, opacity: float
    ) -> None:
        """Copy the colours to the device. Raises SpecError, and CudaError if the kernel cannot be compiled."""
        driver, stream = lane.driver, lane.stream
        kernels = frame_ends.kernels or EndKernels(driver)  # a graph with both ends has no kernels yet
        colours = colour_table(frame_ends.output.classes)
        self.memory: DeviceMemory = allocated(driver, size[0] * size[1] * 3, "the overlay")
        self._palette = allocated(driver, colours.nbytes, "the colours")
        driver.copy_to_device(self._palette, colours, stream)
        driver.synchronize(stream)  # before the array is freed
        launch = ends.overlay(
            *(address(image), size, address(labels), self._palette.handle, self.memory.handle),
            opacity=opacity,
        )
        self._launch = kernels.bound(launch, stream)

    def __call__(self) -> None:
        """Put the launch into the lane's stream."""
        self._launch()
