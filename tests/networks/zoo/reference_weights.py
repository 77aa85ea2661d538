"""The weights behind the reference logits of ESPNet and ESPNetv2, which any implementation can make anew."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def reference_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """Return the reference weights of an official key: random numbers seeded by the key's name."""
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if len(shape) == 4:
        value = random.randn(*shape) / np.sqrt(np.prod(shape[1:]))
    elif key.endswith(("running_mean", "bias")):
        value = 0.1 * random.randn(*shape)
    elif key.endswith("act.weight"):
        value = 0.5 * random.rand(*shape)
    else:
        value = 0.5 + random.rand(*shape)
    return torch.from_numpy(value.astype(np.float32))


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each official key in a list of them."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {key: tuple(int(side) for side in shape.split(",")) for key, shape in rows}
