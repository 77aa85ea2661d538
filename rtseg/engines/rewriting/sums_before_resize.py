"""Write a sum of equal Resizes as one Resize of the sum of the small maps."""

from __future__ import annotations

from collections import defaultdict

import onnx

from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.engines.rewriting.places import define_sum, sole_reader, static_shape, sums, terms_of
from rtseg.engines.rewriting.resize import resize_attributes, resize_inputs, resize_of
from rtseg.graphs.change import GraphChange


def sums_before_resize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write resize(a) + resize(b) + rest as resize(a + b) + rest, however many there are in a sum.

    For linear or nearest Resizes that enlarge maps of one shape by the same rule and have no other reader.
    """
    change = GraphChange(model)
    for root in sums(change.view):
        terms = terms_of(change.view, root)
        alike = defaultdict(list)
        for term in dict.fromkeys(terms):
            resize = resize_of(change.view, change.view.producer(term))
            if resize is not None and resize.enlarges and sole_reader(change.view, term) is not None:
                alike[resize.key, static_shape(change.view, term)].append(term)
        groups = [group for group in alike.values() if len(group) > 1]
        if groups:
            _add_up(change, root.output[0], terms, groups)
    return change.result()


def _add_up(change: GraphChange, result: str, terms: list[str], groups: list[list[str]]) -> None:
    joined = {term for group in groups for term in group}
    enlarged = []
    for group in groups:
        makers = [maker for term in group if (maker := change.view.producer(term)) is not None]
        small = makers[0].input[0]
        for maker in makers[1:]:
            small = change.add("Add", [small, maker.input[0]], f"{result}_small")
        channels = change.view.shape(makers[0].input[0])[1]
        enlarged.append((resize_inputs(change, makers[0], small, channels), resize_attributes(makers[0])))
    rest = [term for term in terms if term not in joined]
    if not rest and len(enlarged) == 1:
        change.define(result, "Resize", enlarged[0][0], **enlarged[0][1])
        return
    new = [change.add("Resize", inputs, f"{result}_enlarged", **attributes) for inputs, attributes in enlarged]
    define_sum(change, result, [*rest, *new])


SUMS_BEFORE_RESIZE = GraphPass("sums-before-resize", sums_before_resize, carries_over=True)
