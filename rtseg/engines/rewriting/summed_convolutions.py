"""Write the sum of two convolutions as one convolution of both maps, which computes the sum itself."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import Convolution, add_convolution, convolution_of, define_convolution
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import define_sum, sole_reader, static_shape, sums, terms_of
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView

_FINISHED = frozenset({"Conv", "Relu", "Clip", "Add", "Mul", "Sub", "Max", "Sigmoid", "BatchNormalization", "PRelu"})
"""Operators whose kernels write directly into a Concat; the results of all others are copied there."""


def summed_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write conv(a) + conv(b) as one convolution of concat(a, b), in sums of any length.

    For convolutions in one group that give maps of one shape and have no other reader: with equal kernels, strides and
    pads over maps of one size, or of 1x1 with any strides. If one has strides, the rows and columns that it reads are
    sliced out first. Only if the copies that this may need are smaller than the terms that are no longer written.
    """
    change = GraphChange(model)
    for root in sums(change.view):
        terms = terms_of(change.view, root)
        alike = defaultdict(list)
        for term in dict.fromkeys(terms):
            own = change.view.producer(term) if sole_reader(change.view, term) is not None else None
            convolution = convolution_of(change.view, own)
            if own is not None and convolution is not None and convolution.group == 1:
                read = static_shape(change.view, own.input[0])[2:]
                walks = "pointwise" if convolution.is_pointwise else (convolution.walks_as, read)
                # an Add repeats the smaller of two terms, which a Concat of what they read does not
                alike[walks, static_shape(change.view, term)].append((term, own.input[0], convolution))
        groups = [group for group in alike.values() if len(group) > 1 and _pays(change.view, group)]
        if not groups:
            continue
        joined = {term for group in groups for term, _, _ in group}
        rest = [term for term in terms if term not in joined]
        _join(change, root.output[0], rest, groups)
    return change.result()


_Term = tuple[str, str, Convolution]


def _pays(view: GraphView, group: list[_Term]) -> bool:
    """Return whether fewer values are copied into the Concat than are no longer written and read as terms."""
    if len({source for _, source, _ in group}) < len(group):
        return False
    shape = view.shape(group[0][0])
    saved = 2 * (len(group) - 1) * math.prod(shape)
    parts = [convolution for _, _, convolution in group]
    strides = parts[0].is_pointwise and any(part.strides != (1, 1) for part in parts)
    whole = replace(parts[0], weight=np.concatenate([part.weight for part in parts], axis=1), strides=(1, 1))
    copied = 0
    for _, source, part in group:
        if strides and part.strides != (1, 1):
            copied += part.weight.shape[1] * math.prod(shape[2:])
        elif strides or whole.is_product or not _is_finished(view, source):
            copied += 2 * math.prod(view.shape(source))
    return copied < saved


def _is_finished(view: GraphView, tensor: str) -> bool:
    """Return whether a kernel that computes writes the tensor, and no other Concat reads it."""
    maker = view.producer(tensor)
    joined = any(reader.node.op_type == "Concat" for reader in view.readers(tensor))
    return maker is not None and maker.op_type in _FINISHED and not joined


def _join(change: GraphChange, result: str, rest: list[str], groups: list[list[_Term]]) -> None:
    whole = len(groups) == 1 and not rest
    new = []
    for group in groups:
        sources = [_at_its_places(change, source, convolution) for _, source, convolution in group]
        joined = change.add("Concat", sources, f"{result}_joined", axis=1)
        parts = [convolution for _, _, convolution in group]
        one = replace(
            parts[0],
            weight=np.concatenate([part.weight for part in parts], axis=1),
            bias=np.sum([part.bias for part in parts], axis=0),
            strides=(1, 1) if parts[0].is_pointwise else parts[0].strides,
        )
        if whole:
            define_convolution(change, result, joined, one)
        else:
            new.append(add_convolution(change, joined, result, one, f"{result}_convolved"))
    if not whole:
        define_sum(change, result, [*new, *rest])


def _at_its_places(change: GraphChange, source: str, convolution: Convolution) -> str:
    """Return the map at the pixels that a 1x1 convolution with strides reads."""
    if convolution.strides == (1, 1) or not convolution.is_pointwise:
        return source
    ends = [np.iinfo(np.int64).max] * 2
    sides = {"starts": [0, 0], "ends": ends, "axes": [2, 3], "steps": convolution.strides}
    constants = [change.constant(f"{source}_{name}", np.array(values, np.int64)) for name, values in sides.items()]
    return change.add("Slice", [source, *constants], f"{source}_strided")


SUMMED_CONVOLUTIONS = GraphPass("summed-convolutions", summed_convolutions, carries_over=True)
