"""Cache what TensorRT for RTX compiles for a GPU when it loads an engine, so that the next start is faster.

The product itself checks that a cache fits: same kind of GPU, release, major version of the driver, and operating
system. It silently ignores one that does not fit, and compiles again. A cache holds machine code, so it is kept in the
user's own cache folder, and a damaged one is never given to the product.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtseg.artifacts.cache import Cache
from rtseg.errors import WriteError

if TYPE_CHECKING:
    import tensorrt_rtx as trt

COMPILED = Cache("rtx", ".cache", keep=32)

LARGEST = 100 << 20
"""In bytes. NVIDIA advises to delete a larger cache."""


def runtime_cache_path(release: str, device: str, engine_sha256: str) -> Path:
    """Return the path of the cache of that engine on that kind of GPU."""
    return COMPILED.path([release, device, engine_sha256], label=f"rtx{release}-{device}")


def fill_runtime_cache(cache: trt.IRuntimeCache, path: Path) -> bool:
    """Load the file into the cache; return whether the product accepted it."""
    content = COMPILED.read(path)
    return bool(content) and bool(cache.deserialize(content))


def keep_runtime_cache(cache: trt.IRuntimeCache, path: Path) -> str:
    """Write the cache for the next start. Return a note if it could not be kept, else an empty string."""
    made = cache.serialize()
    content = b"" if made is None else bytes(memoryview(made))
    if not content or content == COMPILED.read(path):
        return ""
    again = "the next start compiles the engine for this GPU again"
    if len(content) > LARGEST:
        return f"{again}: a cache of {len(content) >> 20} MiB is too large to keep"
    try:
        COMPILED.write(path, content)
    except WriteError as error:
        return f"{again}: {error}"
    return ""
