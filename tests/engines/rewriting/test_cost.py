from __future__ import annotations

import pytest

from rtseg.engines.lowering.versions import RTX
from rtseg.engines.rewriting.cost import BYTES_A_KERNEL, Cost, compiled_cost
from rtseg.runners.tensorrt.module import load_rtx
from tests.engines.lowering.lowering_graphs import graph, node, weights

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")


def test_a_lower_price_is_preferred() -> None:
    assert Cost(1, 100, 0).pays_beside(Cost(2, 100, 0))
    assert not Cost(2, 100, 0).pays_beside(Cost(2, 100, 0))


def test_fewer_kernels_never_pay_for_more_bytes() -> None:
    assert not Cost(1, 101, 0).pays_beside(Cost(9, 100, 0))


def test_many_more_kernels_are_dearer_than_a_few_bytes() -> None:
    assert not Cost(3, 100, 0).pays_beside(Cost(2, 100 + BYTES_A_KERNEL // 2, 0))


def test_more_multiplications_are_weighed_against_bytes() -> None:
    assert Cost(1, 10**6, 10**8).pays_beside(Cost(1, 4 * 10**6, 0))
    assert not Cost(1, 10**6, 10**9).pays_beside(Cost(1, 4 * 10**6, 0))


def test_a_compiled_graph_costs_the_kernels_and_bytes_of_its_account() -> None:
    convolution = node("Conv", ["image", "weight"], "output", kernel_shape=[1, 1])
    model = graph([convolution], (1, 16, 32, 32), weight=weights(16, 16, 1, 1))
    cost = compiled_cost(load_rtx("tests"), model, "fp32", (8, 6))
    values = 16 * 32 * 32
    assert cost.macs == values * 16
    assert cost.kernels >= 1
    assert cost.bytes >= 4 * (2 * values + 16 * 16), f"{RTX} reads the map and the weights, and writes a map"
