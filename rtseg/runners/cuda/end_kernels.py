"""The kernels of preprocessing and tail, compiled for a device and loaded; machine code is kept in the user's cache."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Callable

from rtseg.artifacts.cache import Cache
from rtseg.errors import CudaError, WriteError
from rtseg.runners.cuda import ends
from rtseg.runners.cuda.protocol import CudaDriver, Kernel, Module, Stream

CODE = Cache("kernels", ".bin", keep=32)


class EndKernels:
    """The kernels of rtseg.runners.cuda.ends on one device. Safe to use from several threads at once."""

    def __init__(self, driver: CudaDriver) -> None:
        """Load the kernels, compiled first unless cached. Raises CudaError, and what driver.compile raises."""
        self._driver = driver
        self._module = _loaded(driver)
        self._kernels: dict[str, Kernel] = {}

    def bound(self, launch: ends.Launch, stream: Stream) -> Callable[[], None]:
        """Return a function that puts that launch into the stream; all look-ups are already done."""
        kernel = self._kernels.get(launch.kernel)
        if kernel is None:
            kernel = self._kernels[launch.kernel] = self._driver.kernel(self._module, launch.kernel)
        arguments = launch.arguments.values()
        return functools.partial(self._driver.launch, kernel, launch.grid, launch.block, arguments, stream)


def code_path(driver: CudaDriver) -> Path:
    """Return the path of the machine code; its name depends on everything that decides the code."""
    device = driver.device
    decides = [ends.source(), list(ends.OPTIONS), driver.name, driver.version, device.driver, device.architecture]
    return CODE.path(decides, label=f"frame-ends-{device.architecture}")


def _loaded(driver: CudaDriver) -> Module:
    path = code_path(driver)
    kept = CODE.read(path)
    if kept is not None:
        with contextlib.suppress(CudaError):  # cached code that this driver does not load
            return driver.load_module(kept)
    code = driver.compile(ends.source(), name=ends.NAME, options=ends.OPTIONS)
    module = driver.load_module(code)
    with contextlib.suppress(WriteError):  # go on without a cache if it cannot be written
        CODE.write(path, code)
    return module
