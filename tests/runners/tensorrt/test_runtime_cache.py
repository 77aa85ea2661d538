"""What TensorRT for RTX compiled for a card is kept in the user's cache folder, and given back at the next start."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtseg.artifacts.files import sha256_of
from rtseg.errors import RunnerError
from rtseg.runners.loading import load
from rtseg.runners.tensorrt import runtime_cache
from rtseg.runners.tensorrt.runtime_cache import COMPILED as CACHE
from rtseg.runners.tensorrt.runtime_cache import runtime_cache_path
from tests.contracts.tensorrt_api import RTX_VERSIONS
from tests.emulated_gpu.driver import RTX_4090
from tests.emulated_gpu.graphs import SIZE
from tests.emulated_gpu.machine import EmulatedMachine, scene
from tests.emulated_gpu.rtx import RtxPlan

COMPILED = Counter({"compiled when loaded": 1, "compiled in a run": 1})
FROM_THE_CACHE = Counter({"cache taken": 1})
AGAIN = "the next start compiles the engine for this GPU again: "

OTHER_CARD = replace(RTX_4090, name="NVIDIA GeForce RTX 4060 Laptop GPU")
"""Of the same compute capability."""


def opened(machine: EmulatedMachine, path: Path) -> tuple[str, ...]:
    """Open the engine, look at the labels of one frame, and close it; return its notes."""
    with load(path) as engine, load(path.parent / "logits.onnx", threads=1) as reference:
        np.testing.assert_array_equal(engine(scene(*SIZE)), reference(scene(*SIZE)))
        notes: tuple[str, ...] = engine.runner.notes
        return notes


def done_by(machine: EmulatedMachine, path: Path) -> Counter[str]:
    """Return what the product compiled, and which caches it took, to open the engine once."""
    before = machine.rtx.counts.copy()
    assert opened(machine, path) == ()
    return machine.rtx.counts - before


def caches(machine: EmulatedMachine) -> list[Path]:
    return sorted((machine.folder / "cache" / "rtx").iterdir())


def offered(machine: EmulatedMachine) -> int:
    """Return how often a product was given a cache."""
    return len(machine.rtx.recorded.arguments("IRuntimeCache.deserialize"))


@pytest.fixture
def engine(rtx: EmulatedMachine) -> Path:
    return rtx.rtx_engine(rtx.graph())


@pytest.mark.parametrize("version", RTX_VERSIONS)
def test_the_second_start_compiles_nothing_in_every_version(make_rtx: Any, version: str) -> None:
    machine = make_rtx(version)
    path = machine.rtx_engine(machine.graph())
    assert done_by(machine, path) == COMPILED
    assert done_by(machine, path) == FROM_THE_CACHE
    assert done_by(make_rtx(version), path) == FROM_THE_CACHE


def test_a_cache_is_named_after_the_release_the_card_and_the_engine(rtx: EmulatedMachine, engine: Path) -> None:
    opened(rtx, engine)
    (path,) = caches(rtx)
    assert path.name.startswith("rtx1.7.1.116-nvidia-geforce-rtx-4090-") and path.suffix == ".cache"
    assert path == runtime_cache_path(rtx.rtx.release, RTX_4090.name, sha256_of(engine))


def test_what_the_first_run_compiles_is_in_the_cache_too(rtx: EmulatedMachine, engine: Path) -> None:
    with load(engine):
        assert rtx.rtx.counts == COMPILED  # before any frame
        assert all(when in (CACHE.read(caches(rtx)[0]) or b"").decode() for when in ("when loaded", "in a run"))


def test_more_contexts_compile_nothing(rtx: EmulatedMachine, engine: Path) -> None:
    with load(engine) as segmenter:
        steps = [segmenter.bind(scene(*SIZE)) for _ in range(3)]
        assert rtx.rtx.alive[2] == 4 and len(steps) == 3
    assert rtx.rtx.counts == COMPILED


def test_a_cache_that_has_not_changed_is_not_written_again(rtx: EmulatedMachine, engine: Path) -> None:
    opened(rtx, engine)
    (path,) = caches(rtx)
    before = path.stat().st_ino
    os.utime(path, (1, 1))
    opened(rtx, engine)
    assert path.stat().st_ino == before
    assert path.stat().st_mtime > 1  # as what was used last stays longest


def emptied(content: bytes) -> bytes:
    return b""


def cut(content: bytes) -> bytes:
    return content[:-3]


def one_bit_altered(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def replaced_by_words(content: bytes) -> bytes:
    return b"not a cache at all, but as long as one"


@pytest.mark.parametrize("damage", [emptied, cut, one_bit_altered, replaced_by_words])
def test_a_damaged_cache_is_not_given_to_the_product_and_written_anew(
    rtx: EmulatedMachine, engine: Path, damage: Callable[[bytes], bytes]
) -> None:
    opened(rtx, engine)
    (path,) = caches(rtx)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert done_by(rtx, engine) == COMPILED
    assert offered(rtx) == 0
    assert path.read_bytes() == good


def test_the_cache_of_another_card_is_left_alone(make_rtx: Any) -> None:
    first = make_rtx()
    path = first.rtx_engine(first.graph())
    opened(first, path)
    second = make_rtx(device=OTHER_CARD)
    assert done_by(second, path) == COMPILED
    assert offered(second) == 0
    assert len(caches(second)) == 2
    assert done_by(make_rtx(), path) == FROM_THE_CACHE


def test_the_cache_of_another_card_under_this_ones_name_is_refused_by_the_product_and_replaced(make_rtx: Any) -> None:
    first = make_rtx(device=OTHER_CARD)
    path = first.rtx_engine(first.graph())
    opened(first, path)
    foreign = caches(first)[0].read_bytes()
    second = make_rtx()
    here = runtime_cache_path(second.rtx.release, RTX_4090.name, sha256_of(path))
    here.write_bytes(foreign)
    assert done_by(second, path) == COMPILED + Counter({"cache refused": 1})
    assert here.read_bytes() != foreign
    assert done_by(second, path) == FROM_THE_CACHE


def test_what_is_said_of_a_refused_cache_is_not_told_of_what_fails_later(make_rtx: Any) -> None:
    first = make_rtx(device=replace(RTX_4090, driver=(13, 2)))
    path = first.rtx_engine(first.graph())
    opened(first, path)
    machine = make_rtx()
    machine.rtx.refuses_to_run = True
    with pytest.raises(RunnerError, match="could not run the engine; got from TensorRT: Cask") as raised:
        load(path)
    assert "another environment" not in str(raised.value)
    assert machine.rtx.counts["cache refused"] == 1


@pytest.mark.parametrize(
    ("made_with", "taken"), [((13, 0), True), ((12, 9), False), ((13, 2), False)], ids=["same", "older major", "newer"]
)
def test_a_cache_of_another_driver_is_the_products_to_judge(
    make_rtx: Any, made_with: tuple[int, int], taken: bool
) -> None:
    first = make_rtx(device=replace(RTX_4090, driver=made_with))
    path = first.rtx_engine(first.graph())
    opened(first, path)
    refused = COMPILED + Counter({"cache refused": 1})
    assert done_by(make_rtx(), path) == (FROM_THE_CACHE if taken else refused)
    assert done_by(make_rtx(), path) == FROM_THE_CACHE


def test_another_engine_and_another_release_have_caches_of_their_own(make_rtx: Any) -> None:
    for version in ("rtx-1.6", "rtx-1.7"):
        machine = make_rtx(version)
        for scratch in (256, 512):
            path = machine.rtx_engine(machine.graph(), RtxPlan(machine.rtx.release, scratch=scratch))
            assert done_by(machine, path) == COMPILED
    assert len(caches(machine)) == 4


# What is not kept


@pytest.mark.parametrize("in_the_way", ["cache", "cache/rtx"])
def test_a_folder_that_cannot_be_written_gives_a_note_and_no_failure(
    rtx: EmulatedMachine, engine: Path, in_the_way: str
) -> None:
    obstacle = rtx.folder / in_the_way
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.write_text("a file where a folder should be")
    (note,) = opened(rtx, engine)
    assert note.startswith(f"{AGAIN}cannot write {rtx.folder / 'cache' / 'rtx'}")
    assert opened(rtx, engine) == (note,)
    assert rtx.rtx.counts == COMPILED + COMPILED


def test_the_note_is_printed_by_the_command_line(
    rtx: EmulatedMachine, engine: Path, cli: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    (rtx.folder / "cache").write_text("a file where a folder should be")
    done = cli("run", engine, picture, "-o", tmp_path / "out")
    assert done.code == 0 and AGAIN in done.err


def test_a_cache_that_is_too_large_is_not_kept_and_that_is_told(
    rtx: EmulatedMachine, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_cache, "LARGEST", 10)
    assert opened(rtx, engine) == (f"{AGAIN}a cache of 0 MiB is too large to keep",)
    assert not (rtx.folder / "cache" / "rtx").exists()


@pytest.mark.parametrize("made", [None, b""])
def test_a_product_that_compiled_nothing_leaves_nothing_to_keep(rtx: EmulatedMachine, engine: Path, made: Any) -> None:
    rtx.rtx.recorded.answers["IRuntimeCache.serialize"] = lambda cache: made
    assert opened(rtx, engine) == ()
    assert not (rtx.folder / "cache" / "rtx").exists()


def test_a_cache_is_given_to_the_product_as_it_was_told_it(rtx: EmulatedMachine, engine: Path) -> None:
    opened(rtx, engine)
    (path,) = caches(rtx)
    content = CACHE.read(path)
    assert content
    CACHE.write(path, content)
    opened(rtx, engine)
    assert rtx.rtx.recorded.arguments("IRuntimeCache.deserialize") == [(content,)]


def test_an_engine_that_cannot_be_opened_leaves_no_cache(make_rtx: Any) -> None:
    machine = make_rtx()
    path = machine.rtx_engine(machine.graph())
    machine.rtx.refuses_to_run = True
    with pytest.raises(RunnerError, match="could not run the engine"):
        load(path)
    assert not (machine.folder / "cache" / "rtx").exists()
