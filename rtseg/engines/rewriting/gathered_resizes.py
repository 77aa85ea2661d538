"""Write linear Resizes in a sum as Gathers and weights: the compiler fuses only one native Resize into a kernel."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import in_type_of, sole_reader, sums, terms_of
from rtseg.engines.rewriting.resize import MapResize, resize_of
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def gathered_resizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write several linear Resizes of a sum as two Gathers, two weights and an Add for each side that changes.

    The formulas are ONNX's for the coordinates half_pixel, pytorch_half_pixel, align_corners and asymmetric. The
    Resizes must have no other reader. A sum with a convolution's result is left: the convolution's kernel computes the
    whole sum.
    """
    change = GraphChange(model)
    for root in sums(change.view):
        found = {}
        terms = list(dict.fromkeys(terms_of(change.view, root)))
        if any(_is_convolved(change.view, term) for term in terms):
            continue
        for term in terms:
            resize = resize_of(change.view, change.view.producer(term))
            linear = resize is not None and resize.rule[0] == "linear" and resize.rule[1] in COORDINATES
            if resize is not None and linear and sole_reader(change.view, term) is not None:
                found[term] = resize
        if len(found) > 1:
            for term, resize in found.items():
                _gather(change, term, resize)
    return change.result()


def _is_convolved(view: GraphView, term: str) -> bool:
    """Return whether a term is the result of a convolution, or of the ReLU after it, and only this sum reads it."""
    maker = view.producer(term) if sole_reader(view, term) is not None else None
    if maker is not None and maker.op_type in ("Relu", "Clip"):
        return _is_convolved(view, maker.input[0])
    return maker is not None and maker.op_type == "Conv"


def _gather(change: GraphChange, result: str, resize: MapResize) -> None:
    height, width, new_height, new_width = resize.sizes
    tensor = resize.source
    sides = [(2, height, new_height, resize.scales[0]), (3, width, new_width, resize.scales[1])]
    sides = [side for side in sides if side[1] != side[2] or side[3] != 1]
    for number, (axis, before, after, scale) in enumerate(sides):
        low, high, share = places(before, after, scale, resize.rule[1])
        shape = (1, 1, after, 1) if axis == 2 else (1, 1, 1, after)
        weighted = []
        for which, weight in ((low, 1 - share), (high, share)):
            index = change.constant(f"{result}_index", which)
            weights = change.constant(f"{result}_weight", in_type_of(change.view, result, weight.reshape(shape)))
            gathered = change.add("Gather", [tensor, index], f"{result}_gathered", axis=axis)
            weighted.append(change.add("Mul", [gathered, weights], f"{result}_weighted"))
        if number == len(sides) - 1:
            change.define(result, "Add", weighted)
        else:
            tensor = change.add("Add", weighted, f"{result}_between")


def places(
    before: int, after: int, scale: float, coordinates: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each position of the new side the two of the old side around it, and the weight of the second.

    coordinates is the name of ONNX's coordinate_transformation_mode.
    """
    place = np.arange(after, dtype=np.float64)
    if coordinates == "asymmetric":
        old = place / scale
    elif coordinates == "align_corners":
        old = place * (before - 1) / (after - 1) if after > 1 else place * 0
    elif coordinates == "pytorch_half_pixel" and after == 1:
        old = place * 0
    else:
        old = (place + 0.5) / scale - 0.5
    old = np.clip(old, 0, before - 1)
    low = np.floor(old).astype(np.int64)
    return low, np.minimum(low + 1, before - 1), old - low


GATHERED_RESIZES = GraphPass("gathered-resizes", gathered_resizes, carries_over=False)
