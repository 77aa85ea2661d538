"""The cheapest blocks to keep: exact on losses that add up, and safe where they do not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.gate import ROUNDING
from rtseg.errors import AccuracyLossError, DatasetError, SpecError
from rtseg.observer import SILENT, Observer
from rtseg.quantization.block_losses import BlockLoss
from rtseg.quantization.blocks import Block
from rtseg.quantization.budget import (
    RESOLUTION,
    BlockChoice,
    Kept,
    cheapest_that_holds,
    cheapest_to_keep,
    within_budget,
)
from rtseg.quantization.trials import Trials
from tests.observers import Recorder
from tests.staged_network import BLOCKS, EARLY, HEAD, LATE

TrialsOf = Callable[..., Trials]


def entry(index: int, drop: float, macs: int = 1, agreement: float = 0.99) -> BlockLoss:
    name = f"block{index}"
    return BlockLoss(Block(name, frozenset([f"/{name}/Conv"]), macs), 0.1, drop, None, agreement, None)


steps = st.integers(-20, 60)


@st.composite
def rankings(draw: st.DrawFn, blocks: int = 10) -> list[BlockLoss]:
    """Up to so many blocks with losses that are multiples of RESOLUTION."""
    count = draw(st.integers(1, blocks))
    return [entry(index, draw(steps) * RESOLUTION, draw(st.integers(1, 40))) for index in range(count)]


def work(losses: Sequence[BlockLoss], indices: frozenset[int]) -> int:
    return sum(losses[index].block.macs for index in indices)


def predicted(losses: Sequence[BlockLoss], kept: frozenset[int]) -> float:
    return sum(max(loss.loss, 0.0) for index, loss in enumerate(losses) if index not in kept)


def subsets(count: int) -> list[frozenset[int]]:
    return [frozenset(c) for size in range(count + 1) for c in itertools.combinations(range(count), size)]


@given(rankings(), st.integers(0, 120))
def test_no_set_of_blocks_that_keeps_the_budget_is_cheaper(losses: list[BlockLoss], budget_steps: int) -> None:
    budget = budget_steps * RESOLUTION
    kept = cheapest_to_keep(losses, budget)
    possible = [
        candidate for candidate in subsets(len(losses)) if predicted(losses, candidate) <= budget + RESOLUTION / 2
    ]
    assert kept in possible
    assert work(losses, kept) == min(work(losses, candidate) for candidate in possible)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.floats(0, 2))
def test_the_prediction_keeps_any_budget(drops: list[float], budget: float) -> None:
    losses = [entry(index, drop) for index, drop in enumerate(drops)]
    kept = cheapest_to_keep(losses, budget)
    assert predicted(losses, kept) <= budget + 1e-9
    assert not any(losses[index].loss <= 0 for index in kept)


@given(rankings(), st.integers(0, 120), st.integers(0, 120))
def test_a_larger_budget_keeps_no_more_work(losses: list[BlockLoss], one: int, other: int) -> None:
    low, high = sorted((one, other))
    tight, loose = (cheapest_to_keep(losses, steps * RESOLUTION) for steps in (low, high))
    assert work(losses, loose) <= work(losses, tight)


def test_a_small_block_is_kept_rather_than_a_large_one_that_loses_the_same() -> None:
    assert cheapest_to_keep([entry(0, 0.4, 100), entry(1, 0.4, 3)], 0.5) == {1}


def test_two_small_blocks_are_kept_rather_than_one_large() -> None:
    losses = [entry(0, 0.6, 100), entry(1, 0.4, 30), entry(2, 0.4, 30)]
    assert cheapest_to_keep(losses, 0.7) == {1, 2}


@st.composite
def measurements(draw: st.DrawFn) -> tuple[list[BlockLoss], Callable[[Kept], float], list[int]]:
    """Blocks and what each set of them in INT8 really costs, which need not be the sum; and how often that is asked."""
    losses = draw(rankings(6))
    drops = {frozenset(range(len(losses))): 0.0}
    for inside in subsets(len(losses)):
        alone = sum(losses[index].loss for index in inside)
        far = 0.0 if len(inside) < 2 else draw(st.integers(-40, 40)) * RESOLUTION
        drops[inside] = alone + far
    asked: list[int] = []

    def drop_of(kept: Kept) -> float:
        inside = frozenset(index for index, loss in enumerate(losses) if loss not in kept)
        assert inside, "nothing would be INT8"
        asked.append(len(asked))
        return drops[inside]

    return losses, drop_of, asked


@given(measurements(), st.integers(0, 100))
def test_what_is_chosen_holds_the_budget_however_losses_combine(
    measured: tuple[list[BlockLoss], Callable[[Kept], float], list[int]], budget_steps: int
) -> None:
    losses, drop_of, asked = measured
    budget = budget_steps * RESOLUTION
    try:
        kept = cheapest_that_holds(losses, budget, drop_of)
    except AccuracyLossError:
        assert all(loss.loss > budget for loss in losses)
        return
    halvings = math.ceil(math.log2(max(budget / RESOLUTION, 1))) + 1
    assert len(asked) <= halvings + 3 * len(losses)  # a third of the latter the analysis has measured
    assert drop_of(kept) <= budget + ROUNDING
    assert all(loss in losses for loss in kept) and len(set(kept)) == len(kept) < len(losses)


@given(rankings(8), st.integers(0, 120))
def test_where_losses_add_up_one_measurement_is_enough_and_nothing_is_cheaper(
    losses: list[BlockLoss], budget_steps: int
) -> None:
    budget = budget_steps * RESOLUTION
    losses = [entry(index, abs(loss.loss), loss.block.macs) for index, loss in enumerate(losses)]
    cheapest = cheapest_to_keep(losses, budget)
    if len(cheapest) == len(losses):
        return
    asked: list[Kept] = []

    def drop_of(kept: Kept) -> float:
        asked.append(kept)
        return sum(loss.loss for loss in losses if loss not in kept)

    kept = cheapest_that_holds(losses, budget, drop_of)
    assert set(kept) == {losses[index] for index in cheapest}
    assert asked[0] == kept


def test_blocks_that_turn_out_not_to_be_needed_go_back_to_int8_the_largest_first() -> None:
    losses = [entry(0, 2.0, 5), entry(1, 0.3, 10), entry(2, 0.3, 40), entry(3, 0.3, 20)]
    asked: list[set[str]] = []

    def drop_of(kept: Kept) -> float:
        """Blocks 1 to 3 do the same harm, together as alone."""
        asked.append(names(kept))
        return max(loss.loss for loss in losses if loss not in kept)

    kept = cheapest_that_holds(losses, 0.35, drop_of)
    assert names(kept) == {"block0"}
    # By the sum only the largest of the three fits; then the next in size comes back, then the last.
    assert asked == [{"block0", "block1", "block3"}, {"block0", "block1"}, {"block0"}]


def names(kept: Kept) -> set[str]:
    return {loss.block.name for loss in kept}


def test_a_block_that_cannot_fit_any_more_is_not_tried() -> None:
    losses = [entry(0, 9.0), entry(1, 0.1)]
    asked: list[set[str]] = []

    def drop_of(kept: Kept) -> float:
        asked.append(names(kept))
        return sum(loss.loss for loss in losses if loss not in kept)

    assert names(cheapest_that_holds(losses, 0.5, drop_of)) == {"block0"}
    assert asked == [{"block0"}]


def test_where_no_loss_explains_the_drop_the_block_that_changes_most_pixels_is_kept_first() -> None:
    losses = [entry(0, 0.0, agreement=0.999), entry(1, 0.0, agreement=0.9), entry(2, 0.0, agreement=0.99)]
    asked: list[set[str]] = []

    def drop_of(kept: Kept) -> float:
        asked.append(names(kept))
        return 3.0 - len(kept)

    assert names(cheapest_that_holds(losses, 2.0, drop_of)) == {"block1"}
    assert asked[:2] == [set(), {"block1"}]


def test_a_block_that_holds_alone_is_found_where_no_larger_set_holds() -> None:
    losses = [entry(0, 0.2, agreement=0.999), entry(1, 0.1, macs=5, agreement=0.9), entry(2, 0.3, agreement=0.99)]

    def drop_of(kept: Kept) -> float:
        inside = [loss for loss in losses if loss not in kept]
        return inside[0].loss if len(inside) == 1 else 9.0

    assert names(cheapest_that_holds(losses, 0.1, drop_of)) == {"block0", "block2"}


def test_the_error_tells_the_least_that_was_lost() -> None:
    losses = [entry(0, 0.9), entry(1, 0.4)]
    told = "no set .* got 0.40 points of mIoU lost at least; expected at most 0.3. Try: allow a larger --max-drop"
    with pytest.raises(AccuracyLossError, match=told):
        cheapest_that_holds(losses, 0.3, lambda kept: sum(loss.loss for loss in losses if loss not in kept))


class Witness(Recorder):
    """What within_budget notes of its trials, and the sets of blocks that it measures, with what each costs."""

    def __init__(self) -> None:
        super().__init__()
        self.drops: dict[frozenset[str], float] = {}

    @property
    def sets(self) -> list[tuple[frozenset[str], float]]:
        return list(self.drops.items())

    def watch(self, trials: Trials) -> None:
        measure = trials.measure

        def watched(kept: Collection[str] = (), *, observer: Observer = SILENT) -> Comparison:
            comparison = measure(kept, observer=observer)
            assert comparison.drop is not None
            blocks = frozenset(name for name, operators in BLOCKS.items() if operators <= set(kept))
            self.drops.setdefault(blocks, comparison.drop)
            return comparison

        trials.measure = watched


def selected(trials: Trials, max_drop: float, witness: Witness | None = None) -> BlockChoice:
    if witness is not None:
        witness.watch(trials)
    return within_budget(trials, max_drop, count=4, observer=witness or SILENT)


def test_nothing_is_analysed_where_int8_everywhere_holds(trials_of: TrialsOf) -> None:
    trials, witness = trials_of(), Witness()
    chosen = selected(trials, 20.0, witness)
    assert (chosen.kept, chosen.operators, chosen.predicted) == ((), frozenset(), None)
    assert chosen.comparison == trials.measure()
    assert witness.sets == [(frozenset(), chosen.comparison.drop)]
    assert witness.steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_block_that_costs_is_the_one_that_is_kept(trials_of: TrialsOf, block: str) -> None:
    trials, witness = trials_of(block), Witness()
    chosen = selected(trials, 9.0, witness)
    assert {loss.block.name for loss in chosen.kept} == {block}
    assert chosen.operators == BLOCKS[block]
    assert chosen.comparison == trials.measure(BLOCKS[block])
    assert chosen.comparison.drop is not None and chosen.comparison.drop <= 9.0
    assert witness.sets[0][0] == frozenset() and witness.sets[0][1] > 9.0
    assert (frozenset({block}), chosen.comparison.drop) in witness.sets


def test_the_prediction_is_the_sum_of_the_blocks_that_are_int8(trials_of: TrialsOf) -> None:
    trials = trials_of(LATE)
    chosen = selected(trials, 9.0)
    alone = [trials.measure_alone(operators).drop or 0.0 for name, operators in BLOCKS.items() if name != LATE]
    assert chosen.predicted == pytest.approx(sum(alone))
    assert chosen.to_json()["predicted_drop_points"] == chosen.predicted
    assert chosen.to_json()["measured_drop_points"] == chosen.comparison.drop != chosen.predicted


@pytest.mark.parametrize("max_drop", [1.0, 3.6, 4.5, 6.0, 8.0, 15.0, 40.0])
def test_the_measured_drop_holds_every_budget_or_no_block_does(trials_of: TrialsOf, max_drop: float) -> None:
    trials = trials_of(HEAD, EARLY)
    try:
        chosen = selected(trials, max_drop)
    except AccuracyLossError:
        assert all((trials.measure_alone(operators).drop or 0.0) > max_drop for operators in BLOCKS.values())
        return
    measured = trials.measure(chosen.operators).drop
    assert measured is not None and measured == chosen.comparison.drop <= max_drop


def test_no_set_is_measured_twice_or_told_twice(trials_of: TrialsOf) -> None:
    witness = Witness()
    selected(trials_of(HEAD, EARLY), 6.0, witness)
    told = [note for note in witness.notes if note.startswith(("INT8 everywhere", "without"))]
    assert len(told) == len(witness.sets)


def test_where_no_block_holds_the_budget_that_is_an_error(trials_of: TrialsOf) -> None:
    with pytest.raises(AccuracyLossError, match=r"no set of blocks in INT8 meets that budget; got \d"):
        selected(trials_of(*BLOCKS), 0.5)


def test_a_budget_for_onnx_runtime_is_held_by_its_own_placement(trials_of: TrialsOf) -> None:
    trials = trials_of(LATE, target="onnxruntime")
    chosen = selected(trials, 9.0)
    assert LATE in names(chosen.kept)
    assert chosen.comparison == trials.measure(chosen.operators)
    assert chosen.comparison.drop is not None and chosen.comparison.drop <= 9.0


def test_excluded_operators_stay_out_whatever_the_budget_allows(trials_of: TrialsOf) -> None:
    trials, witness = trials_of(LATE, HEAD, excluded=BLOCKS[HEAD]), Witness()
    chosen = selected(trials, 9.0, witness)
    assert chosen.operators == BLOCKS[LATE]
    assert all(HEAD not in kept for kept, _ in witness.sets)
    assert chosen.comparison == trials_of(LATE, HEAD).measure(BLOCKS[HEAD] | BLOCKS[LATE])


def test_a_budget_without_labels_is_refused(trials_of: TrialsOf) -> None:
    with pytest.raises(DatasetError, match="without labels there is no mIoU"):
        selected(trials_of(labelled=False), 1.0)


def test_a_budget_that_is_no_share_is_refused(trials_of: TrialsOf) -> None:
    with pytest.raises(SpecError, match="bound of the drop is out of range"):
        selected(trials_of(), float("nan"))
