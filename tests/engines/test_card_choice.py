"""Which cards a lower bound is told for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtseg.engines.card_choice import chosen_cards
from rtseg.engines.inspector import RTX_SCHEMA, EngineLayers
from rtseg.errors import EngineError, UnknownNameError


def layers(*capabilities: str) -> EngineLayers:
    return EngineLayers((), (), (), RTX_SCHEMA if capabilities else "11", capabilities=capabilities)


def names(path: Path, engine: EngineLayers, *named: str) -> list[str]:
    return [card.name for card in chosen_cards(path, engine, named)]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return tmp_path / "a.engine"


def manifest_of(engine: Path, **details: object) -> None:
    engine.with_name("a.engine.json").write_text(json.dumps({"details": details}))


def test_without_a_name_they_are_the_rtx_cards_that_the_engine_is_for(engine: Path) -> None:
    assert names(engine, layers("8.6")) == ["RTX 3060 12 GB", "RTX 3080", "RTX 3090", "RTX A4000"]
    assert names(engine, layers("12.0", "12.1")) == ["RTX 5060", "RTX 5070", "RTX 5080", "RTX 5090"]


def test_the_gpu_that_tensorrt_built_an_engine_on_is_the_card(engine: Path) -> None:
    manifest_of(engine, gpu="NVIDIA GeForce RTX 3090", compute_capabilities=["8.6"])
    assert names(engine, layers()) == ["RTX 3090"]


def test_a_gpu_that_is_in_no_table_stands_for_its_compute_capability(engine: Path) -> None:
    manifest_of(engine, gpu="NVIDIA RTX A2000", compute_capabilities=["8.6"])
    assert names(engine, layers()) == ["RTX 3060 12 GB", "RTX 3080", "RTX 3090", "RTX A4000", "A10 PCIe"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"details": 1}'])
def test_where_nothing_tells_there_is_none(engine: Path, text: str) -> None:
    assert names(engine, layers()) == []
    engine.with_name("a.engine.json").write_text(text)
    assert names(engine, layers()) == []


def test_named_cards_go_before_all_and_count_once(engine: Path) -> None:
    manifest_of(engine, gpu="NVIDIA GeForce RTX 3090", compute_capabilities=["8.6"])
    assert names(engine, layers(), "rtx3080", "A10 PCIe", "rtx3080") == ["RTX 3080", "A10 PCIe"]


def test_a_card_that_the_engine_is_not_for_is_refused(engine: Path) -> None:
    with pytest.raises(EngineError, match=r"is not for RTX 2080; got compute capability 7\.5; expected 8\.6, 8\.9"):
        names(engine, layers("8.6", "8.9"), "RTX 2080")


def test_an_unknown_card_is_refused(engine: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown card"):
        names(engine, layers("8.6"), "RTX 9999")
