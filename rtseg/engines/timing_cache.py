"""How long each kernel took on this GPU, kept between builds so that none is timed twice.

TensorRT takes a timing cache only from its own version and GPU, so both are in the file's name. Several builds may
run at once: each starts from the file as it was, and adds its own times to the file as it is then, under a lock.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from rtseg.artifacts import cache_folder, read_digested, require_writable, write_digested

if TYPE_CHECKING:
    import tensorrt as trt


def timing_cache_path(release: str, device: str, compute_capability: tuple[int, int]) -> Path:
    """Return where the times of that TensorRT on that GPU lie."""
    name = re.sub(r"[^0-9A-Za-z]+", "-", device).strip("-").lower()
    major, minor = compute_capability
    return cache_folder() / "timing" / f"trt{release}-{name}-sm{major}{minor}.timing"


def read_timing_cache(path: Path) -> bytes:
    """Return what TensorRT serialised, or nothing where there is no file or it is damaged."""
    return read_digested(path)


def update_timing_cache(path: Path, merge: Callable[[bytes], bytes]) -> None:
    """Replace the file by what merge makes of it, while no other process does the same.

    merge is given the times that are in the file now, nothing where there are none. Raises WriteError.
    """
    with _locked(path.with_suffix(".lock")):
        write_digested(path, merge(read_timing_cache(path)))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file until leaving. It ends with the process, so a killed build leaves none behind."""
    import fcntl  # not on Windows, where engines are not built

    require_writable(path)
    with open(path, "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def use_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Let the build start from the times in the file, or from none where TensorRT does not take them."""
    for times in (read_timing_cache(path), b""):
        if config.set_timing_cache(config.create_timing_cache(times), ignore_mismatch=False):
            return


def keep_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Add the times of a build that has ended to those in the file. Raises WriteError."""
    built = config.get_timing_cache()

    def merge(stored: bytes) -> bytes:
        if stored:  # what another build added meanwhile; where TensorRT refuses it, ours alone are kept
            built.combine(config.create_timing_cache(stored), ignore_mismatch=False)
        return bytes(memoryview(built.serialize()))

    if built is not None:
        update_timing_cache(path, merge)
