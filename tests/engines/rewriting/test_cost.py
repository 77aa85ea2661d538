from __future__ import annotations

import pytest

from rtseg.engines.lowering.versions import RTX
from rtseg.engines.rewriting.cost import BYTES_A_KERNEL, BYTES_A_MAC, Cost, compiled_cost
from rtseg.runners.tensorrt.module import load_rtx
from tests.engines.lowering.lowering_graphs import graph, node, weights

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")


def test_a_kernel_a_byte_and_a_multiplication_have_one_price() -> None:
    nothing = Cost(1, 100, 10, 10)
    assert Cost(2, 100, 10, 10).price - nothing.price == BYTES_A_KERNEL
    assert Cost(1, 101, 10, 10).price - nothing.price == 1
    assert Cost(1, 100, 10, 10 + 10**6).price - nothing.price == pytest.approx(10**6 * BYTES_A_MAC)


def test_what_is_saved_is_a_cost() -> None:
    assert Cost(3, 100, 7, 9) - Cost(2, 60, 8, 9) == Cost(1, 40, -1, 0)


@pytest.mark.parametrize(("read", "written", "groups", "factor"), [(3, 13, 1, 8 * 16 / (3 * 13)), (12, 12, 12, 1)])
def test_channels_are_filled_up_to_what_a_tensor_core_takes_unless_grouped(
    read: int, written: int, groups: int, factor: float
) -> None:
    convolution = node("Conv", ["image", "weight"], "output", group=groups, pads=[1, 1, 1, 1])
    shape = (1, read, 32, 32)
    model = graph([convolution], shape, result=(1, written, 32, 32), weight=weights(written, read // groups, 3, 3))
    cost = compiled_cost(load_rtx("tests"), model, "fp16", (8, 6))
    assert cost.core_macs == pytest.approx(cost.macs * factor)


def test_a_compiled_graph_costs_the_kernels_and_bytes_of_its_account() -> None:
    convolution = node("Conv", ["image", "weight"], "output", kernel_shape=[1, 1])
    model = graph([convolution], (1, 16, 32, 32), weight=weights(16, 16, 1, 1))
    cost = compiled_cost(load_rtx("tests"), model, "fp32", (8, 6))
    values = 16 * 32 * 32
    assert cost.macs == values * 16
    assert cost.kernels >= 1
    assert cost.bytes >= 4 * (2 * values + 16 * 16), f"{RTX} reads the map and the weights, and writes a map"
