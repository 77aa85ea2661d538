"""Write RotaryEmbedding of opset 23: it rotates pairs of values by the angle of their position."""

from __future__ import annotations

import numpy as np

from rtseg.exporting.opset_lowering.site import Site


def lower_rotary_embedding(site: Site) -> None:
    """Rewrite RotaryEmbedding: compute both rotated values of each pair, in their original places."""
    shape = site.shape()
    heads_first = len(shape) == 4
    heads = shape[1] if heads_first else int(site.attribute("num_heads", 0))
    batch, length = shape[0], shape[2] if heads_first else shape[1]
    if heads < 1 or len(shape) not in (3, 4):
        raise site.refused(f"{heads} heads of {len(shape)} dimensions")
    size = shape[3] if heads_first else shape[2] // heads
    turned = int(site.attribute("rotary_embedding_dim", 0)) or size
    half, source = turned // 2, site.name(0)
    if not heads_first:  # (batch, length, heads, size)
        source = site.reshaped(source, (batch, length, heads, size))
    cosines, sines = (_angles(site, position, half, heads_first) for position in (1, 2))
    if site.attribute("interleaved", 0):
        first, second = (_part(site, source, start, turned, 2) for start in (0, 1))
    else:
        first, second = _part(site, source, 0, half), _part(site, source, half, turned)
    real = site.add("Sub", site.add("Mul", cosines, first), site.add("Mul", sines, second))
    imaginary = site.add("Add", site.add("Mul", sines, first), site.add("Mul", cosines, second))
    outer = (batch, heads, length) if heads_first else (batch, length, heads)
    if site.attribute("interleaved", 0):
        both = (site.reshaped(part, (*outer, half, 1)) for part in (real, imaginary))
        parts = [site.reshaped(site.add("Concat", *both, axis=4), (*outer, turned))]
    else:
        parts = [real, imaginary]
    if turned < size:
        parts.append(_part(site, source, turned, size))
    site.give_reshaped(site.add("Concat", *parts, axis=3), shape)


def _part(site: Site, tensor: str, start: int, end: int, step: int = 1) -> str:
    """Return a slice along the last of four dimensions."""
    return site.add("Slice", tensor, *(site.value([number], np.int64) for number in (start, end, 3, step)))


def _angles(site: Site, position: int, half: int, heads_first: bool) -> str:
    """Return a table of cosines or sines as (batch, 1, length, half), or (batch, length, 1, half)."""
    table = site.name(position)
    if site.has(3):
        table = site.add("Gather", table, site.name(3), axis=0)
        batch, length = site.shape(3)
        kept = site.shape(position)[1]
    else:
        batch, length, kept = site.shape(position)
    if kept > half:
        table = site.add("Slice", table, *(site.value([number], np.int64) for number in (0, half, 2)))
    return site.reshaped(table, (batch, 1, length, half) if heads_first else (batch, length, 1, half))
