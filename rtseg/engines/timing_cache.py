"""Keep the measured time of each kernel on this GPU between builds, so that none is timed twice.

TensorRT accepts a timing cache only of its own version and GPU, so both are part of the file name. Several builds may
run at once: each starts from the file as it finds it and, when done, adds its times to the current file under a lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtseg.artifacts.cache import Cache

if TYPE_CHECKING:
    import tensorrt as trt

TIMES = Cache("timing", ".timing", keep=32)


def timing_cache_path(release: str, device: str, compute_capability: tuple[int, int]) -> Path:
    """Return the path of the times of that TensorRT on that GPU."""
    label = "trt{}-{}-sm{}{}".format(release, device, *compute_capability)
    return TIMES.path([release, device, list(compute_capability)], label=label)


def use_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Start the build from the times in the file, or from none if TensorRT does not accept them."""
    for times in (TIMES.read(path) or b"", b""):
        if config.set_timing_cache(config.create_timing_cache(times), ignore_mismatch=False):
            return


def keep_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Add the times of a finished build to those in the file. Raises WriteError."""
    built = config.get_timing_cache()
    if built is None:
        return
    with TIMES.locked(path):
        # Merge what another build added meanwhile; if TensorRT refuses it, only ours are kept.
        if kept := TIMES.read(path):
            built.combine(config.create_timing_cache(kept), ignore_mismatch=False)
        TIMES.write(path, bytes(memoryview(built.serialize())))
