"""What TensorRT for RTX compiled for a GPU when it loaded an engine, kept so that the next start need not do it again.

The product checks itself whether a cache fits: the same kind of GPU, release, driver of the same major version, and
operating system. One that does not is left aside without a word, and compiled anew. A cache holds machine code, so it
lies in the user's own cache folder, and one that is damaged is never given to the product.
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
"""Bytes. NVIDIA's advice is to delete a cache that has grown larger."""


def runtime_cache_path(release: str, device: str, engine_sha256: str) -> Path:
    """Return where the cache of that engine on that kind of GPU lies."""
    return COMPILED.path([release, device, engine_sha256], label=f"rtx{release}-{device}")


def fill_runtime_cache(cache: trt.IRuntimeCache, path: Path) -> bool:
    """Give the cache what the file holds; return whether the product took it."""
    content = COMPILED.read(path)
    return bool(content) and bool(cache.deserialize(content))


def keep_runtime_cache(cache: trt.IRuntimeCache, path: Path) -> str:
    """Write the cache for the next start. Return in words why it was not kept, nothing where it was."""
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
