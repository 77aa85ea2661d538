"""Every registered network becomes INT8 for each target, and ONNX Runtime runs its INT8 kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from rtseg.calibration.table import TensorRange
from rtseg.datasets.registry import class_spec
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.view import GraphView, node_name
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.quantization.census import census_of
from rtseg.specs import Resolution
from tests.quantization.small_graphs import TARGETS, images, measured_ranges, placed, quantized, ran, session

pytestmark = pytest.mark.usefixtures("one_core")

SMALL = Resolution(64, 64)
CHEAP = ("affnet", "enet", "erfnet", "espnetv2", "fast_scnn", "haff")
"""Half a second each: attention, unpooling, strips, groups, depthwise convolutions, a backbone."""

NETWORKS = [pytest.param(n, marks=() if n in CHEAP else pytest.mark.slow) for n in network_names()]


class Exported(NamedTuple):
    model: onnx.ModelProto
    ranges: Mapping[str, TensorRange]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network of random weights, and the ranges of its tensors over two random images."""
    path = tmp_path_factory.mktemp("network") / "net.onnx"
    export_onnx(network_with_random_weights(request.param, class_spec("camvid"), seed=1), SMALL, path)
    model = read_canonical(path)
    return Exported(model, measured_ranges(model, images(model, 2)))


def test_every_operator_has_a_name_of_its_own(network: Exported) -> None:
    names = Counter(node_name(node) for node in GraphView(network.model).nodes)
    assert names.most_common(1)[0][1] == 1


@pytest.mark.parametrize("target", TARGETS)
def test_the_int8_graph_is_canonical_runs_and_does_most_of_the_work_in_int8(network: Exported, target: str) -> None:
    result = quantized(network.model, target, ranges=network.ranges)
    [image] = images(network.model)
    assert np.isfinite(ran(result, image)).all()
    placement = placed(network.model, target)
    census = census_of(result, placement.left)
    assert census.int8 >= placement.multiplying
    assert census.int8_share > 0.5
    weighted = {
        node_name(n) for n in GraphView(network.model).nodes if n.op_type in ("Conv", "ConvTranspose", "MatMul")
    }
    assert weighted == placement.multiplying | placement.left.keys()
    assert not placement.multiplying & placement.left.keys()


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_network_gives_is_in_floating_point(network: Exported, target: str) -> None:
    assert GraphView(network.model).output not in placed(network.model, target).uses


def test_onnx_runtime_runs_every_quantised_convolution_in_int8(network: Exported, tmp_path: Path) -> None:
    result = quantized(network.model, "onnxruntime", ranges=network.ranges)
    session(result, written=str(tmp_path / "optimized.onnx"))
    run = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert run["QLinearConv"] == len(placed(network.model, "onnxruntime").weights)


def test_no_skip_branch_is_quantised_for_a_sum_in_floating_point(network: Exported) -> None:
    view = GraphView(quantized(network.model, ranges=network.ranges))
    int8 = census_of(view.model).int8
    for node in view.nodes:
        producers = [view.producer(name) for name in node.input]
        if node.op_type == "Add" and any(p is not None and p.op_type == "DequantizeLinear" for p in producers):
            assert node_name(node) in int8
