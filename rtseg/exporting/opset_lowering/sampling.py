"""Write operators that read a map between its pixels: Resize, GridSample and AffineGrid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from rtseg.exporting.opset_lowering.site import Site

GRID_MODES = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
"""The modes of GridSample: names since opset 20, and names before."""

_NEWER = ("antialias", "axes", "keep_aspect_ratio_policy")
POLICIES = {"not_larger": min, "not_smaller": max}


def lower_resize(site: Site) -> None:
    """Rewrite a Resize of opset 18 or newer as one of opset 17.

    The attributes axes and keep_aspect_ratio_policy become scales or sizes for all axes; half_pixel_symmetric becomes
    half_pixel, which is the same for whole sizes. Raises OnnxError for an antialias filter that has an effect, for
    half_pixel_symmetric with other sizes, and for a policy whose sizes no single scale gives.
    """
    policy, antialias = site.attribute("keep_aspect_ratio_policy", "stretch"), site.attribute("antialias", 0)
    symmetric = site.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel_symmetric"
    kept = policy != "stretch" and site.has(3)
    named = site.attribute("axes", None)
    if not (kept or antialias or symmetric or named):
        site.keep(without=_NEWER)
        return
    shape, result = site.shape(), site.result_shape()
    rank = len(shape)
    axes = [site.axis(axis, rank) for axis in named or range(rank)]
    given = [float(value) for value in site.constant(3 if site.has(3) else 2).ravel()]
    if len(given) != len(axes):
        raise site.refused(f"{len(given)} sizes or scales for {len(axes)} axes")
    whole = (site.has(3) and not kept) or all(scale * shape[axis] == result[axis] for axis, scale in zip(axes, given))
    if antialias and not _is_idle(site, whole):
        raise site.refused("antialias, which has no form there")
    if symmetric and not whole:
        raise site.refused("half_pixel_symmetric with scales that do not give whole sizes")
    region = site.name(1)
    if region and len(axes) < rank:
        region = site.value(_region_of_all(site, axes, rank))
    if site.has(3) and not kept:
        sizes = list(shape)
        for axis, size in zip(axes, given):
            sizes[axis] = int(size)
        inputs = [site.name(0), region, "", site.value(sizes, np.int64)]
    else:
        scales = np.ones(rank, np.float32)
        for axis, scale in zip(axes, _common_scale(site, policy, axes, given) if kept else given):
            scales[axis] = scale
        if kept and result != tuple(math.floor(float(scale) * side) for scale, side in zip(scales, shape)):
            raise site.refused(f"keep_aspect_ratio_policy {policy!r}, whose sizes {result} no scale gives")
        inputs = [site.name(0), region, site.value(scales)]
    # For whole sizes, symmetric centres equal the plain ones.
    site.keep(*inputs, without=_NEWER, **({"coordinate_transformation_mode": "half_pixel"} if symmetric else {}))


def _common_scale(site: Site, policy: str, axes: list[int], sizes: Sequence[float]) -> list[float]:
    """Return equal scales for some axes, so that they keep their ratio."""
    if policy not in POLICIES:
        raise site.refused(f"keep_aspect_ratio_policy {policy!r}")
    shape = site.shape()
    scale = POLICIES[policy](np.float32(size) / np.float32(shape[axis]) for axis, size in zip(axes, sizes))
    return [float(scale)] * len(axes)


def _is_idle(site: Site, whole: bool) -> bool:
    """Return whether antialias has no effect: it widens the filter only if a map gets smaller."""
    larger = all(after >= before for before, after in zip(site.shape(), site.result_shape()))
    return whole and larger and site.attribute("mode", "nearest") == "linear"


def _region_of_all(site: Site, axes: list[int], rank: int) -> NDArray[np.generic]:
    """Return the region of interest for all axes: from 0 to 1 if none is given."""
    region = site.constant(1).ravel()
    full = np.repeat(np.array([0, 1], region.dtype), rank)
    if len(region):
        for index, axis in enumerate(axes):
            full[axis], full[rank + axis] = region[index], region[len(axes) + index]
    return full


def lower_grid_sample(site: Site) -> None:
    """Rewrite GridSample with the older name of its mode. Raises OnnxError unless the map has two dimensions."""
    rank = len(site.shape())
    if rank != 4:
        raise site.refused(f"a map of {rank - 2} dimensions")
    mode = site.attribute("mode", "linear")
    site.keep(mode=GRID_MODES.get(mode, mode))


def lower_affine_grid(site: Site) -> None:
    """Rewrite AffineGrid as the product of constant coordinates with the matrices."""
    _, _, *sides = site.integers(1)
    aligned, matrices = site.attribute("align_corners", 0), site.shape()[0]
    if aligned and 1 in sides:
        raise site.refused("align_corners along a side of one pixel, on which PyTorch and ONNX Runtime differ")
    along = [_coordinates(length, bool(aligned)) for length in sides]
    grid = np.meshgrid(*along, indexing="ij")[::-1]  # x first
    points = np.stack([*grid, np.ones(sides)], axis=-1).reshape(1, -1, len(sides) + 1)
    turned = site.add("Transpose", site.name(0), perm=[0, 2, 1])
    dtype = helper.tensor_dtype_to_np_dtype(site.element())
    product = site.add("MatMul", site.value(points.astype(dtype)), turned)
    site.give_reshaped(product, (matrices, *sides, len(sides)))


def _coordinates(length: int, aligned: bool) -> NDArray[np.float64]:
    """Return the pixel centres between -1 and 1; with aligned corners from -1 to 1."""
    if aligned:
        return np.linspace(-1, 1, length)
    return (2 * np.arange(length) + 1) / length - 1
