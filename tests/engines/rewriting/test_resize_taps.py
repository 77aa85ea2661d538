from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.engines.rewriting.resize_taps import MODES, spatial_taps
from rtseg.graphs.view import GraphView
from tests.engines.lowering.lowering_graphs import graph, node, picture, ran

SIDES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def resize(before: tuple[int, ...], after: tuple[int, ...], **attributes: str) -> onnx.ModelProto:
    made = node("Resize", ["image", "", "", "sizes"], "output", **{"mode": "linear", **attributes})
    return graph([made], before, result=after, sizes=np.array(after))


@settings(deadline=None, max_examples=60)
@given(before=SIDES, after=SIDES, mode=st.sampled_from(MODES))
def test_the_taps_compute_what_onnx_runtime_does(before: tuple[int, int], after: tuple[int, int], mode: str) -> None:
    model = resize((1, 2, *before), (1, 2, *after), coordinate_transformation_mode=mode)
    taps = spatial_taps(GraphView(model), model.graph.node[0])
    image = picture(model)
    if before == after:
        assert taps is None
        return
    assert taps is not None
    values = image.astype(np.float64)
    for axis, along in zip((2, 3), taps):
        share = along.share.reshape([-1 if axis == place else 1 for place in range(4)])
        values = np.take(values, along.first, axis) * (1 - share) + np.take(values, along.second, axis) * share
    np.testing.assert_allclose(values, ran(model, image), atol=1e-5)


def test_stated_scales_are_those_of_the_coordinates() -> None:
    made = node("Resize", ["image", "", "scales"], "output", mode="linear")
    model = graph([made], (1, 1, 5, 5), result=(1, 1, 12, 12), scales=np.array([1, 1, 2.5, 2.5], np.float32))
    taps = spatial_taps(GraphView(model), made)
    assert taps is not None
    np.testing.assert_allclose(taps[0].share[1], (1.5 / 2.5 - 0.5) % 1)


def test_another_kind_of_resize_has_none() -> None:
    for attributes in (
        {"mode": "cubic"},
        {"mode": "nearest"},
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
    ):
        model = resize((1, 2, 4, 4), (1, 2, 8, 8), **attributes)
        assert spatial_taps(GraphView(model), model.graph.node[0]) is None
    channels = resize((1, 2, 4, 4), (1, 4, 8, 8))
    assert spatial_taps(GraphView(channels), channels.graph.node[0]) is None
