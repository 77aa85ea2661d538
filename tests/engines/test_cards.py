"""The figures of GPUs: complete, sourced, and the rates that NVIDIA publishes."""

from __future__ import annotations

import pytest

from rtseg.engines.cards import FAMILIES, Card, card_named, card_of_gpu, cards
from rtseg.errors import UnknownNameError


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_a_card_is_complete_and_says_where_its_figures_are_from(card: Card) -> None:
    assert card.family in FAMILIES and card.source.startswith("https://")
    assert card.multiprocessors > 0 and card.bandwidth_gb_s > 0 and card.l2_bytes >= 2 << 20
    assert card.most_mhz >= card.boost_mhz > 0
    assert {"fp32", "fp16", "int8"} <= set(card.rates)


def test_names_are_told_apart_as_they_are_looked_up() -> None:
    assert [card_named(card.name) for card in cards()] == list(cards())


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("RTX 2080 Ti", "fp16", 107.6),
        ("RTX 3090", "fp16", 142.3),
        ("RTX 3090", "bf16", 71.2),
        ("RTX 3090", "tf32", 35.6),
        ("RTX 3090", "int8", 284.7),
        ("A100 SXM4 80 GB", "fp16", 312.0),
        ("A100 SXM4 80 GB", "fp32", 156.0),
        ("A100 SXM4 80 GB", "int8", 624.0),
        ("A10 PCIe", "tf32", 62.5),
        ("RTX 4090", "fp16", 330.3),
        ("RTX 4090", "fp32", 82.6),
        ("RTX 4090", "fp8", 660.6),
        ("RTX 5090", "bf16", 209.5),
    ],
)
def test_at_the_boost_clock_the_rates_are_those_of_the_published_tables(name: str, precision: str, tera: float) -> None:
    card = card_named(name)
    rate = card.operations_per_second(precision)
    assert rate is not None
    assert rate * card.boost_mhz / card.most_mhz == pytest.approx(tera * 1e12, rel=0.01)


def test_fp32_has_no_tensor_cores_to_run_on_before_ampere() -> None:
    turing = card_named("RTX 2080")
    assert turing.operations_per_second("tf32") == turing.operations_per_second("fp32") == 46 * 2100e6 * 128


@pytest.mark.parametrize("precision", ["integer", "conversion", "unknown", "fp4", "fp8"])
def test_what_a_card_does_not_multiply_has_no_rate(precision: str) -> None:
    assert card_named("RTX 3090").operations_per_second(precision) is None


@pytest.mark.parametrize("name", ["rtx3090", "NVIDIA GeForce RTX 3090", "RTX-3090", "GeForce RTX 3090"])
def test_a_card_is_found_by_what_a_driver_or_a_user_calls_it(name: str) -> None:
    assert card_named(name).name == "RTX 3090"


def test_an_unknown_card_is_an_error_that_lists_the_known() -> None:
    assert card_of_gpu("") is None
    with pytest.raises(UnknownNameError, match=r"unknown card; got 'RTX 3091'.*RTX 3080"):
        card_named("RTX 3091")
