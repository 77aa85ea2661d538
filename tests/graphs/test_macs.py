from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from rtseg.datasets.registry import class_spec
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView
from rtseg.networks.complexity import count_macs, meta_network
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_spec
from rtseg.specs import Resolution

pytestmark = pytest.mark.usefixtures("one_core")


def macs(operator: str, source: tuple[int, ...], weight: tuple[int, ...], result: tuple[int, ...], **extra: Any) -> int:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("image", source), ("output", result))]
    node = helper.make_node(operator, ["image", "weight"], ["output"], name="/it", **extra)
    weights = [numpy_helper.from_array(np.zeros(weight, np.float32), "weight")]
    model = helper.make_model(
        helper.make_graph([node], "g", ends[:1], ends[1:], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.checker.check_model(model, full_check=True)
    return macs_by_node(GraphView(model))["/it"]


def test_each_value_of_a_convolution_takes_a_kernel_of_all_channels() -> None:
    assert macs("Conv", (1, 3, 8, 10), (5, 3, 3, 3), (1, 5, 6, 8)) == 5 * 6 * 8 * 3 * 3 * 3


def test_a_stride_divides_the_work() -> None:
    assert macs("Conv", (1, 3, 8, 8), (5, 3, 2, 2), (1, 5, 4, 4), strides=[2, 2]) == 5 * 4 * 4 * 3 * 2 * 2


def test_a_grouped_convolution_reads_the_channels_of_its_group() -> None:
    assert macs("Conv", (1, 8, 4, 4), (8, 2, 1, 1), (1, 8, 4, 4), group=4) == 8 * 4 * 4 * 2
    assert macs("Conv", (1, 8, 6, 6), (8, 1, 3, 3), (1, 8, 4, 4), group=8) == 8 * 4 * 4 * 9


def test_each_value_a_transposed_convolution_reads_meets_a_kernel_of_all_outputs() -> None:
    assert macs("ConvTranspose", (1, 6, 4, 5), (6, 7, 2, 2), (1, 7, 8, 10), strides=[2, 2]) == 6 * 4 * 5 * 7 * 2 * 2


def test_a_matrix_product_is_rows_by_columns_by_what_is_between() -> None:
    assert macs("MatMul", (2, 3, 4, 5), (5, 6), (2, 3, 4, 6)) == 2 * 3 * 4 * 6 * 5


@pytest.mark.parametrize(("transposed", "source"), [(0, (3, 5)), (1, (5, 3))])
def test_a_general_matrix_product_counts_the_same_transposed(transposed: int, source: tuple[int, int]) -> None:
    assert macs("Gemm", source, (5, 7), (3, 7), transA=transposed) == 3 * 7 * 5


def test_what_multiplies_nothing_has_no_work() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in ("image", "output")]
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["output"])], "g", ends[:1], ends[1:])
    assert macs_by_node(GraphView(helper.make_model(graph))) == {}


@pytest.mark.parametrize("name", ["fast_scnn", "erfnet", "enet", pytest.param("s2fpn18", marks=pytest.mark.slow)])
def test_the_exported_graph_does_the_work_that_was_counted_for_the_network(name: str, tmp_path: Path) -> None:
    resolution = Resolution(64, 64)
    network = network_with_random_weights(name, class_spec("camvid"), seed=0)
    with torch.inference_mode():
        export_onnx(network, resolution, tmp_path / "net.onnx")
    counted = count_macs(meta_network(network_spec(name), 11), resolution, name)
    assert sum(macs_by_node(GraphView(onnx.load(tmp_path / "net.onnx"))).values()) == counted
