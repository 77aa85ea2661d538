"""How long each kernel took on this GPU, kept between builds so that none is timed twice.

TensorRT takes a timing cache only from its own version and GPU, so both decide the file's name. Several builds may
run at once: each starts from the file as it was, and adds its own times to the file as it is then, under a lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtseg.artifacts.cache import Cache

if TYPE_CHECKING:
    import tensorrt as trt

TIMES = Cache("timing", ".timing", keep=32)


def timing_cache_path(release: str, device: str, compute_capability: tuple[int, int]) -> Path:
    """Return where the times of that TensorRT on that GPU lie."""
    label = "trt{}-{}-sm{}{}".format(release, device, *compute_capability)
    return TIMES.path([release, device, list(compute_capability)], label=label)


def use_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Let the build start from the times in the file, or from none where TensorRT does not take them."""
    for times in (TIMES.read(path) or b"", b""):
        if config.set_timing_cache(config.create_timing_cache(times), ignore_mismatch=False):
            return


def keep_timing_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Add the times of a build that has ended to those in the file. Raises WriteError."""
    built = config.get_timing_cache()
    if built is None:
        return
    with TIMES.locked(path):
        # What another build added meanwhile; where TensorRT refuses it, ours alone are kept.
        if kept := TIMES.read(path):
            built.combine(config.create_timing_cache(kept), ignore_mismatch=False)
        TIMES.write(path, bytes(memoryview(built.serialize())))
