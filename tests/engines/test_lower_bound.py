"""The lower bound of an engine on a card: by hand, and what holds whatever the engine and the card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rtseg
from rtseg.engines.cards import Card
from rtseg.engines.inspector import EngineLayer, EngineLayers, LayerTensor
from rtseg.engines.layer_audit import Audit, audit
from rtseg.engines.layer_times import LayerTimes
from rtseg.engines.lower_bound import LowerBound, lower_bound

MIB = 1 << 20
CARD = Card(
    "a card",
    "workstation",
    "8.6",
    multiprocessors=10,
    boost_mhz=1000,
    most_mhz=2000,
    bandwidth_gb_s=100,
    l2_mib=1,
    rates={"fp32": 256, "fp16": 1024, "int8": 2048},
    source="",
)
"""2e10 clocks of multiprocessors and 1e11 bytes a second."""


def tensor(name: str, *shape: int, kind: str = "fp16") -> LayerTensor:
    return LayerTensor(name, kind, "HWC", shape)


def layer(kind: str, **parts: tuple[LayerTensor, ...]) -> EngineLayer:
    sides = {"inputs": (), "outputs": (), "constants": (), **parts}
    return EngineLayer(f"/{kind}", kind, "", "", "", "unknown", operators=(f"/{kind}",), **sides)


def engine(*layers: EngineLayer, ends: tuple[str, str] = ("x", "y"), times: LayerTimes | None = None) -> Audit:
    every = {tensor.name: tensor for layer in layers for tensor in (*layer.inputs, *layer.outputs)}
    inputs, outputs = (tuple(every[name] for name in (end,) if name in every) for end in ends)
    return audit(EngineLayers(layers, inputs, outputs, "rtx"), times)


CONVOLUTION = layer(
    "correlation",
    inputs=(tensor("x", 1, 64, 32, 32),),
    constants=(tensor("w", 128, 64, 3, 3), tensor("b", 1, 128, 1, 1)),
    outputs=(tensor("y", 1, 128, 32, 32),),
)
MACS = 128 * 32 * 32 * 64 * 9
BYTES = 2 * (64 * 32 * 32 + 128 * 64 * 9 + 128 + 128 * 32 * 32)


def test_of_a_convolution_it_is_what_one_computes_by_hand() -> None:
    bound = lower_bound(engine(CONVOLUTION), CARD)
    assert (bound.macs, bound.memory_bytes, bound.uncounted) == (MACS, BYTES, 0)
    assert bound.operations_ms == pytest.approx(2 * MACS / (10 * 2e9 * 1024) * 1e3)
    assert bound.memory_ms == pytest.approx(BYTES / 100e9 * 1e3) == bound.traffic_ms
    assert bound.ms == max(bound.operations_ms, bound.memory_ms) == bound.kernels[0].ms


def test_the_rate_is_that_of_the_precision_of_the_kernel() -> None:
    read = tensor("x", 1, 64, 32, 32, kind="int8")
    int8 = lower_bound(engine(replace(CONVOLUTION, inputs=(read,))), CARD)
    assert int8.operations_ms == pytest.approx(lower_bound(engine(CONVOLUTION), CARD).operations_ms / 2)


def test_what_the_cache_holds_between_two_kernels_does_not_pass_to_memory() -> None:
    first = layer("kgen", inputs=(tensor("x", 16),), outputs=(tensor("t", MIB // 2),))
    second = layer("kgen", inputs=(tensor("t", MIB // 2),), outputs=(tensor("y", 8),))
    assert lower_bound(engine(first, second), CARD).memory_bytes == 32 + 16


def test_of_a_tensor_that_the_cache_cannot_hold_the_rest_is_written_and_read() -> None:
    first = layer("kgen", inputs=(tensor("x", 16),), outputs=(tensor("t", MIB),))
    second = layer("kgen", inputs=(tensor("t", MIB),), outputs=(tensor("y", 8),))
    bound = lower_bound(engine(first, second), CARD)
    assert [kernel.memory_bytes for kernel in bound.kernels] == [32 + MIB, MIB + 16]
    assert bound.traffic_ms == pytest.approx((32 + 4 * MIB + 16) / 100e9 * 1e3)


def test_what_two_kernels_read_is_read_from_memory_once() -> None:
    readers = [
        layer("kgen", inputs=(tensor("x", 16), tensor("t", MIB)), constants=(tensor("w", 4),), outputs=(out,))
        for out in (tensor("u", 1), tensor("y", 8))
    ]
    bound = lower_bound(engine(*readers), CARD)
    assert [kernel.memory_bytes for kernel in bound.kernels] == [32 + MIB + 8, 16]


def test_constants_count_no_more_than_the_file_of_the_engine_holds() -> None:
    readers = [
        layer("kgen", inputs=(tensor("x", 1),), constants=(tensor(f"zeros {number}", 100),), outputs=(tensor("y", 1),))
        for number in range(2)
    ]
    whole, stored = (lower_bound(engine(*readers), CARD, stored_bytes=size).memory_bytes for size in (None, 300))
    assert whole - stored == 2 * 2 * 100 - 300


def test_an_input_that_is_read_in_parts_counts_as_its_largest_part() -> None:
    parts = [layer("kgen", inputs=(tensor("x", size),), outputs=(tensor("y", 1),)) for size in (8, 24, 16)]
    assert [kernel.memory_bytes for kernel in lower_bound(engine(*parts), CARD).kernels] == [16 + 2, 32, 0]


def test_an_output_that_is_written_in_parts_counts_once() -> None:
    parts = [layer("kgen", inputs=(tensor("x", 1),), outputs=(tensor("y", size),)) for size in (8, 8, 8)]
    part = audit(EngineLayers(tuple(parts), (), (tensor("y", 16),), "rtx"))
    assert lower_bound(part, CARD).memory_bytes == 2 * 16


def test_a_product_that_cannot_be_told_counts_as_nothing_and_is_told() -> None:
    bound = lower_bound(engine(replace(CONVOLUTION, constants=None)), CARD)
    assert (bound.operations_ms, bound.uncounted, bound.kernels[0].macs) == (0, 1, None)


def test_a_precision_that_the_card_has_no_rate_for_counts_as_nothing_and_is_told() -> None:
    fp8 = lower_bound(engine(replace(CONVOLUTION, inputs=(tensor("x", 1, 64, 32, 32, kind="fp8"),))), CARD)
    assert (fp8.operations_ms, fp8.uncounted, fp8.macs) == (0, 1, MACS)


def test_beside_a_measured_time_stands_the_part_of_it_that_the_bound_is() -> None:
    pool = layer("maxpool", inputs=(tensor("y", 1, 128, 32, 32),), outputs=(tensor("z", 1, 128, 16, 16),))
    timed = engine(CONVOLUTION, pool, times=LayerTimes((0.5, 0.25), 0.0))
    bound = lower_bound(timed, CARD)
    assert bound.measured_ms == 0.75 and bound.reached == pytest.approx(bound.ms / 0.75)
    assert [kernel.measured_ms for kernel in bound.kernels] == [0.5, 0.25]
    assert bound.kernels[0].reached == pytest.approx(bound.kernels[0].ms / 0.5)
    elsewhere = lower_bound(timed, CARD, measured=False)
    assert (elsewhere.measured_ms, elsewhere.reached, elsewhere.kernels[0].measured_ms) == (None, None, None)


def test_a_build_for_the_cards_compute_capability_alone_goes_before_the_list_for_several() -> None:
    alone = {"8.6": engine(CONVOLUTION).engine, "8.9": engine().engine}
    several = audit(replace(engine(CONVOLUTION, CONVOLUTION).engine, alone=alone))
    assert lower_bound(several, CARD).macs == MACS
    assert lower_bound(several, replace(CARD, compute_capability="12.0")).macs == 2 * MACS


def test_the_document_has_every_kernel() -> None:
    facts = lower_bound(engine(CONVOLUTION), CARD).to_json()
    assert facts["card"]["name"] == "a card" and facts["ms"] == max(facts["operations_ms"], facts["memory_ms"])
    assert [(kernel["macs"], kernel["operators"]) for kernel in facts["kernels"]] == [(MACS, ["/correlation"])]


def test_nothing_but_build_and_audit_tells_it() -> None:
    package = Path(rtseg.__file__).parent
    words = ("lower_bound", "bound_text")
    knowing = {path.stem for path in package.rglob("*.py") if any(word in path.read_text("utf-8") for word in words)}
    told_by = {"engine_stages", "build_command", "audit_text"}
    assert knowing - {"lower_bound", "bound_text", "cards", "account"} == told_by


# Whatever the engine and the card

SIZES = st.integers(1, 40)


@st.composite
def engines(draw: st.DrawFn) -> Audit:
    """A few kernels over a few names, so that tensors are read twice, in parts, by nobody, and written over."""
    names = st.sampled_from(["x", "y", "a", "b", "c"])
    layers = []
    for _ in range(draw(st.integers(1, 8))):
        read = tensor(draw(names), 1, draw(SIZES), draw(SIZES), draw(SIZES))
        written = tensor(draw(names), 1, draw(SIZES), *read.shape[2:])
        weight = tensor(draw(st.sampled_from(["v", "w"])), written.shape[1], read.shape[1], 3, 3)
        kind = draw(st.sampled_from(["correlation", "kgen", "signal", "gemm"]))
        layers.append(layer(kind, inputs=(read,), constants=(weight,), outputs=(written,)))
    return engine(*layers)


CARDS = st.builds(
    lambda clock, bandwidth, l2: replace(CARD, most_mhz=clock, bandwidth_gb_s=bandwidth, l2_mib=l2 / MIB),
    st.floats(100, 4000),
    st.floats(1, 5000),
    st.integers(0, 100_000),
)


def same_or_less(one: float, other: float) -> bool:
    return one <= other * (1 + 1e-12)


@given(engines(), CARDS)
def test_it_is_never_more_than_traffic_and_operations_together(audited: Audit, card: Card) -> None:
    bound = lower_bound(audited, card)
    assert same_or_less(bound.memory_ms, bound.traffic_ms)
    assert same_or_less(bound.ms, bound.traffic_ms + bound.operations_ms)
    assert same_or_less(bound.ms, sum(kernel.ms for kernel in bound.kernels))
    for kernel, counted in zip(bound.kernels, audited.account.kernels):
        assert 0 <= kernel.memory_bytes <= counted.bytes


@given(engines(), CARDS, st.floats(1, 10))
def test_a_faster_clock_a_wider_bus_and_a_larger_cache_never_raise_it(audited: Audit, card: Card, more: float) -> None:
    before = lower_bound(audited, card)

    def after(**better: float) -> LowerBound:
        return lower_bound(audited, replace(card, **better))

    for bound in (
        after(most_mhz=card.most_mhz * more),
        after(bandwidth_gb_s=card.bandwidth_gb_s * more),
        after(l2_mib=card.l2_mib * more),
    ):
        assert same_or_less(bound.ms, before.ms)
        assert all(same_or_less(one.ms, other.ms) for one, other in zip(bound.kernels, before.kernels))


@given(engines(), CARDS)
def test_with_no_cache_every_tensor_passes_and_with_all_cache_only_the_ends_and_the_constants(
    audited: Audit, card: Card
) -> None:
    ends = sum(tensor.bytes or 0 for side in (audited.engine.inputs, audited.engine.outputs) for tensor in side)
    constants: dict[str, int] = {}
    for entry in audited.layers:
        for held in entry.layer.constants or ():
            constants[held.name] = max(constants.get(held.name, 0), held.bytes or 0)
    largest = max((t.bytes or 0 for entry in audited.layers for t in entry.layer.inputs), default=0)
    everything = lower_bound(audited, replace(card, l2_mib=1024))
    assert everything.memory_bytes <= ends + largest + sum(constants.values())
    assert lower_bound(audited, replace(card, l2_mib=0)).memory_bytes >= everything.memory_bytes
