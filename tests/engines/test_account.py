"""Kernels and bytes: what is counted, and how."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.inspector import EngineLayer, EngineLayers, LayerTensor
from rtseg.engines.layer_audit import Audit, audit


def tensor(name: str, *shape: int, kind: str = "fp16") -> LayerTensor:
    return LayerTensor(name, kind, "HWC", shape)


def layer(name: str, kind: str, **parts: tuple[LayerTensor, ...]) -> EngineLayer:
    sides = {"inputs": (), "outputs": (), "constants": (), **parts}
    return EngineLayer(name, kind, "", "", "", "unknown", operators=(f"/{name}",), **sides)


def audited(*layers: EngineLayer) -> Audit:
    return audit(EngineLayers(layers, (), (), "rtx"))


CONVOLUTION = layer(
    "conv",
    "correlation",
    inputs=(tensor("x", 1, 8, 4, 4),),
    constants=(tensor("w", 16, 8, 3, 3), tensor("b", 1, 16, 1, 1, kind="fp32")),
    outputs=(tensor("y", 1, 16, 4, 4),),
)


def test_a_kernel_reads_its_inputs_and_constants_and_writes_its_outputs() -> None:
    account = audited(CONVOLUTION).account
    (kernel,) = account.kernels
    assert (kernel.read, kernel.constants, kernel.written) == (256, 2304 + 64, 512)
    assert (account.bytes, account.constant_bytes, kernel.operators) == (256 + 2368 + 512, 2368, ("/conv",))


def test_what_launches_nothing_is_no_kernel() -> None:
    assert audited(layer("s", "signal"), CONVOLUTION, layer("w", "wait")).account.summary()["kernels"] == 1


def test_a_tensor_that_is_listed_twice_counts_twice_and_is_told() -> None:
    twice = replace(CONVOLUTION, inputs=CONVOLUTION.inputs * 2)
    account = audited(twice).account
    assert (account.kernels[0].read, account.repeated_bytes) == (512, 256)


def test_constants_that_are_not_told_are_none_and_not_nothing() -> None:
    account = audited(replace(CONVOLUTION, constants=None)).account
    assert (account.constant_bytes, account.bytes) == (None, 768)
    assert audited(layer("k", "kgen")).account.constant_bytes == 0


def test_a_tensor_without_a_size_is_counted_as_such() -> None:
    account = audited(replace(CONVOLUTION, inputs=(tensor("x", -1, 8, 4, 4), tensor("z")))).account
    assert (account.unsized, account.kernels[0].read) == (2, 0)


def test_kernels_that_only_move_data_are_counted_apart() -> None:
    copy = layer("__myl_Conc_myl0_1", "kgen", inputs=(tensor("x", 8),), outputs=(tensor("y", 8),))
    account = audited(CONVOLUTION, copy).account
    assert (account.moving, len(account.kernels)) == (1, 2)
    assert account.by_precision() == {"fp16": {"kernels": 2, "bytes": 3168}}
    assert account.summary()["moving_bytes"] == 32


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_the_sums_are_those_of_the_kernels_and_the_largest_are_the_ten_first(sizes: list[tuple[int, int]]) -> None:
    kernels = [
        layer(f"k{index}", "kgen", inputs=(tensor("x", before),), outputs=(tensor("y", after),))
        for index, (before, after) in enumerate(sizes)
    ]
    account = audited(*kernels).account
    facts = account.to_json()
    assert facts["bytes"] == 2 * sum(map(sum, sizes)) == facts["read_bytes"] + facts["written_bytes"]
    assert sum(row["bytes"] for row in facts["by_precision"].values()) == facts["bytes"]
    assert [row["bytes"] for row in facts["largest"]] == sorted((2 * sum(pair) for pair in sizes), reverse=True)[:10]
