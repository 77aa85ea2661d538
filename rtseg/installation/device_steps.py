"""CUDA, step by step: the driver and its device; the frame's GPU kernels, compiled, run and compared with the host."""

from __future__ import annotations

import numpy as np

from rtseg.errors import CudaError
from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.installation.chain import Step
from rtseg.installation.probe import IMAGE, probe_picture
from rtseg.runners.cuda import ends
from rtseg.runners.cuda.compiler import compile_kernel
from rtseg.runners.cuda.end_kernels import EndKernels
from rtseg.runners.cuda.protocol import CudaDriver
from rtseg.runners.cuda.registry import open_cuda

DRIVER, COMPILED, RUN, PYCUDA = "driver", "kernels compiled", "kernels run", "pycuda driver"

WITHOUT_A_DEVICE = "sm_86"
"""The target without a device: the oldest architecture that engines for RTX cards are built for by default."""

BYTES = 1 << 20
"""How many bytes are copied to the device and back."""


class DeviceTrial:
    """The driver, None before it is opened, and the kernels loaded in it."""

    def __init__(self) -> None:
        self.driver: CudaDriver | None = None
        self._kernels: EndKernels | None = None

    def steps(self) -> tuple[Step, ...]:
        """Return the steps that everything on the device depends on."""
        return (
            Step(DRIVER, self._open, lacking="no driver"),
            Step(COMPILED, self._compile, lacking="no compiled kernels"),
            Step(RUN, self._run, needs=(DRIVER, COMPILED)),
        )

    def last_steps(self) -> tuple[Step, ...]:
        """Return the steps that come after all others, because PyCUDA leaves the thread in a context of its own."""
        return (Step(PYCUDA, _try_pycuda, needs=("pycuda", DRIVER)),)

    def opened(self) -> CudaDriver:
        """Return the driver, for steps that need it."""
        assert self.driver is not None
        return self.driver

    def _open(self) -> str:
        driver = open_cuda()
        _require_copies(driver)
        self.driver = driver
        device = driver.device
        free, total = (size / 2**30 for size in driver.memory())
        return f"{device.name}, {device.architecture}, {free:.1f} of {total:.1f} GiB free; bytes copied there and back"

    def _compile(self) -> str:
        if self.driver is None:
            code = compile_kernel(ends.source(), WITHOUT_A_DEVICE, name=ends.NAME, options=ends.OPTIONS)
            return f"{len(code) / 1024:.0f} KiB for {WITHOUT_A_DEVICE}"
        self._kernels = EndKernels(self.driver)
        return f"for {self.driver.device.architecture}, and loaded"

    def _run(self) -> str:
        assert self._kernels is not None
        return _compare_ends(self.opened(), self._kernels)


def _try_pycuda() -> str:
    driver = open_cuda("pycuda")
    _require_copies(driver)
    return f"opens {driver.device.name}; {_compare_ends(driver, EndKernels(driver))}"


def _require_copies(driver: CudaDriver) -> None:
    """Copy bytes to the device and back. Raises CudaError, also if they come back changed."""
    given = np.random.default_rng(2).integers(0, 256, BYTES, np.uint8)
    back = np.zeros_like(given)
    stream, memory = driver.create_stream(), driver.allocate(given.nbytes)
    driver.copy_to_device(memory, given, stream)
    driver.copy_to_host(back, memory, stream)
    driver.synchronize(stream)
    if not np.array_equal(given, back):
        raise CudaError("copy", name=f"{np.mean(given != back):.2%} of the bytes came back changed")


def _compare_ends(driver: CudaDriver, kernels: EndKernels) -> str:
    """Preprocess and label a picture on the device and on the host; its tensor serves as logits of three classes.

    Raises CudaError, also if the results differ in one bit.
    """
    picture = probe_picture()
    size = (picture.shape[0], picture.shape[1])
    tensor, labels = np.zeros((3, IMAGE.height, IMAGE.width), np.float32), np.zeros(size, np.uint8)
    stream = driver.create_stream()
    image, logits, result = (driver.allocate(array.nbytes) for array in (picture, tensor, labels))
    front = ends.front(image.handle, size, logits.handle, IMAGE)
    tail = ends.tail(logits.handle, (3, IMAGE.height, IMAGE.width), result.handle, size, align_corners=False)
    driver.copy_to_device(image, picture, stream)
    for launch in (front, tail):
        kernels.bound(launch, stream)()
    driver.copy_to_host(tensor, logits, stream)
    driver.copy_to_host(labels, result, stream)
    driver.synchronize(stream)
    wanted = tensor_from_image(picture, IMAGE)
    if not np.array_equal(tensor, wanted):
        most = float(np.abs(tensor - wanted).max())
        raise CudaError("preprocess", name=f"the tensor differs from the host's by up to {most:.3g}")
    others = labels != labels_from_logits(wanted, height=size[0], width=size[1], align_corners=False)
    if others.any():
        raise CudaError("label", name=f"{others.mean():.2%} of the labels differ from the host's")
    return "a picture's tensor and labels equal the host's, bit for bit"
