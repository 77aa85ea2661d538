"""Merge two convolutions with nothing between them, if that saves more than the arithmetic that it adds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx

from rtseg.engines.rewriting.convolution import Convolution, convolution_of, define_convolution
from rtseg.engines.rewriting.cost import BYTES_A_KERNEL, BYTES_A_MAC
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import sole_reader
from rtseg.graphs.change import GraphChange
from rtseg.graphs.view import GraphView

_BYTES_A_VALUE = 2


def composed_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Merge a 1x1 or depthwise convolution and the 1x1 convolution that is its only reader into one with dense weights.

    Only if the bytes of the map between them, which is no longer written and read, cost more than the added
    multiplications, by the exchange rate of cost.py.
    """
    change = GraphChange(model)
    taken: set[str] = set()
    for node in change.view.nodes:
        inner = node.input[0] if node.input else ""
        maker = change.view.producer(inner)
        if maker is None or sole_reader(change.view, inner) is None or inner in taken:
            continue
        first, second = convolution_of(change.view, maker), convolution_of(change.view, node)
        if first is None or second is None or not second.is_pointwise:
            continue
        one = _as_one(first, second)
        if one is not None and _pays(change.view, inner, node.output[0], (first, second, one)):
            define_convolution(change, node.output[0], maker.input[0], one)
            taken.add(node.output[0])
    return change.result()


def _as_one(first: Convolution, second: Convolution) -> Convolution | None:
    mixing = second.weight[:, :, 0, 0]
    bias = mixing @ first.bias + second.bias
    strides = tuple(one * other for one, other in zip(first.strides, second.strides))
    if first.is_depthwise:
        weight = mixing[:, :, None, None] * first.weight[None, :, 0]
    elif first.is_pointwise:
        weight = np.einsum("om,mikl->oikl", mixing, first.weight)
    else:
        return None
    return replace(first, weight=weight, bias=bias, strides=strides, group=1)


def _pays(view: GraphView, between: str, result: str, three: tuple[Convolution, ...]) -> bool:
    first, second, one = (convolution.weight[0].size for convolution in three)
    inner, outer = math.prod(view.shape(between)), math.prod(view.shape(result))
    added = outer * one - inner * first - outer * second
    return bool(2 * _BYTES_A_VALUE * inner + BYTES_A_KERNEL > BYTES_A_MAC * added)


COMPOSED_CONVOLUTIONS = GraphPass("composed-convolutions", composed_convolutions, carries_over=True)
