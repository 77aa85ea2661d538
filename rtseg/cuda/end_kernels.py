"""The kernels of the two ends, compiled for a device and loaded; the machine code is kept in the user's cache."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from pathlib import Path
from typing import Callable

from rtseg.artifacts import cache_folder, written_atomically
from rtseg.cuda import ends
from rtseg.cuda.protocol import CudaDriver, Kernel, Module, Stream
from rtseg.errors import CudaError, WriteError

_DIGEST_BYTES = hashlib.sha256().digest_size


class EndKernels:
    """The kernels of rtseg.cuda.ends on one device. Safe to use from several threads at once."""

    def __init__(self, driver: CudaDriver) -> None:
        """Load them, compiled now unless they are in the cache. Raises CudaError, and what driver.compile raises."""
        self._driver = driver
        self._module = _loaded(driver)
        self._kernels: dict[str, Kernel] = {}

    def bound(self, launch: ends.Launch, stream: Stream) -> Callable[[], None]:
        """Return what puts that launch into the stream, everything looked up beforehand."""
        kernel = self._kernels.get(launch.kernel)
        if kernel is None:
            kernel = self._kernels[launch.kernel] = self._driver.kernel(self._module, launch.kernel)
        arguments = launch.arguments.values()
        return functools.partial(self._driver.launch, kernel, launch.grid, launch.block, arguments, stream)


def code_path(driver: CudaDriver) -> Path:
    """Return where the machine code lies: its name is made of everything that decides it."""
    made_by = f"{driver.name} {driver.version}, driver of CUDA {driver.device.driver}"
    decides = "\0".join([ends.source(), *ends.OPTIONS, made_by])
    digest = hashlib.sha256(decides.encode()).hexdigest()[:16]
    return cache_folder() / "kernels" / f"frame-ends-{driver.device.architecture}-{digest}.bin"


def _loaded(driver: CudaDriver) -> Module:
    path = code_path(driver)
    stored = _stored(path)
    if stored is not None:
        with contextlib.suppress(CudaError):  # code that is not for this driver after all
            return driver.load_module(stored)
    code = driver.compile(ends.source(), name=ends.NAME, options=ends.OPTIONS)
    module = driver.load_module(code)
    with contextlib.suppress(WriteError), written_atomically(path) as part:  # a cache that cannot be written is none
        part.write_bytes(hashlib.sha256(code).digest() + code)
    return module


def _stored(path: Path) -> bytes | None:
    """Return the code in the cache, None where there is none or it is damaged: a driver may crash on that."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None
