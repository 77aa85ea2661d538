"""A network's operators in blocks: none lost, none twice, named after modules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.quantization.blocks import DEFAULT_COUNT, blocks_of

pieces = st.sampled_from(["a", "b", "a.0", "a.1", "conv", "Conv"])
names = st.lists(pieces, min_size=1, max_size=5).flatmap(
    lambda path: st.sampled_from(["/" + "/".join(path), "/".join(path)])
)
operators = st.lists(names, unique=True, max_size=40)
works = st.integers(0, 5)


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str], dict[str, int]]:
    chosen = draw(operators)
    return chosen, {name: draw(works) for name in chosen}


@given(networks(), st.integers(1, 30))
def test_blocks_are_a_partition_of_the_operators_with_all_their_work(
    network: tuple[list[str], dict[str, int]], count: int
) -> None:
    chosen, macs = network
    blocks = blocks_of(chosen, macs, count=count)
    assert sorted(name for block in blocks for name in block.operators) == sorted(chosen)
    assert all(block.operators for block in blocks)
    assert [block.macs for block in blocks] == [sum(macs[name] for name in block.operators) for block in blocks]


@given(networks(), st.integers(1, 30))
def test_there_are_as_many_blocks_as_asked_for_or_one_for_each_operator(
    network: tuple[list[str], dict[str, int]], count: int
) -> None:
    chosen, macs = network
    assert len(blocks_of(chosen, macs, count=count)) >= min(count, len(chosen))


@given(networks(), st.integers(1, 30))
def test_blocks_have_names_of_their_own_and_stand_in_the_order_of_the_network(
    network: tuple[list[str], dict[str, int]], count: int
) -> None:
    chosen, macs = network
    blocks = blocks_of(chosen, macs, count=count)
    assert all(block.name for block in blocks)
    assert len({block.name for block in blocks}) == len(blocks)
    first = [min(chosen.index(name) for name in block.operators) for block in blocks]
    assert first == sorted(first)


@given(networks(), st.integers(2, 30))
def test_a_name_is_the_end_of_the_module_that_all_its_operators_lie_in(
    network: tuple[list[str], dict[str, int]], count: int
) -> None:
    chosen, macs = network
    blocks = blocks_of(chosen, macs, count=count)
    if len(blocks) > 1:
        for block in blocks:
            root = block.name == "/"  # of the names that begin with it, where others do not
            assert all(name.startswith("/") if root else f"/{block.name}/" in f"/{name}/" for name in block.operators)


@given(networks(), st.integers(1, 29))
def test_more_blocks_are_parts_of_fewer(network: tuple[list[str], dict[str, int]], count: int) -> None:
    chosen, macs = network
    fine = blocks_of(chosen, macs, count=count + 1)
    coarse = blocks_of(chosen, macs, count=count)
    assert all(any(part.operators <= whole.operators for whole in coarse) for part in fine)


NETWORK = {
    "/network/down/down.0/conv/Conv": 5,
    "/network/down/down.1/conv/Conv": 4,
    "/network/unit/unit.0/a/Conv": 20,
    "/network/unit/unit.0/b/Conv": 20,
    "/network/unit/unit.1/a/Conv": 10,
    "/network/classifier/Conv": 1,
}


def named(count: int) -> dict[str, int]:
    return {block.name: block.macs for block in blocks_of(NETWORK, NETWORK, count=count)}


def test_what_all_names_have_in_common_is_left_out_of_them() -> None:
    assert named(2) == {"down": 9, "unit": 50, "classifier": 1}


def test_the_module_with_the_most_work_is_split_first() -> None:
    assert named(4) == {"down": 9, "unit/unit.0": 40, "unit/unit.1": 10, "classifier": 1}
    assert named(5) == {"down": 9, "unit/unit.0/a": 20, "unit/unit.0/b": 20, "unit/unit.1": 10, "classifier": 1}


def test_an_operator_alone_in_its_module_is_named_after_the_module_where_they_part() -> None:
    assert named(6) == {
        "down/down.0": 5,
        "down/down.1": 4,
        "unit/unit.0/a": 20,
        "unit/unit.0/b": 20,
        "unit/unit.1": 10,
        "classifier": 1,
    }
    assert named(100) == named(6)


def test_a_level_that_parts_nothing_is_passed_over() -> None:
    names = ["/network/body/inner/a/Conv", "/network/body/inner/b/Conv", "/network/head/Conv"]
    assert [block.name for block in blocks_of(names, {}, count=3)] == ["body/inner/a", "body/inner/b", "head"]


def test_names_without_paths_are_blocks_of_their_own() -> None:
    names = [f"Conv_{index}" for index in range(30)]
    blocks = blocks_of(names, dict.fromkeys(names, 1))
    assert [block.name for block in blocks] == names
    assert len(blocks) > DEFAULT_COUNT


@pytest.mark.parametrize(
    ("names", "told"),
    [(list(NETWORK), "network"), (["/network/head/Conv"], "network/head/Conv"), (["a", "b"], "all operators")],
)
def test_a_single_block_is_named_after_what_all_share(names: list[str], told: str) -> None:
    (block,) = blocks_of(names, NETWORK, count=1)
    assert block.name == told


def test_no_operators_are_no_blocks() -> None:
    assert blocks_of([], {}) == ()
