"""Choose the blocks to leave out of INT8 so that the loss stays within a budget and the least INT8 work is lost."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.gate import ROUNDING, Gate
from rtseg.errors import AccuracyLossError, QuantizationError
from rtseg.observer import SILENT, Observer
from rtseg.quantization.block_losses import BlockLoss, analyse
from rtseg.quantization.blocks import DEFAULT_COUNT
from rtseg.quantization.trials import Trials

RESOLUTION = 0.001
"""Losses are rounded up to multiples of this, in points of mIoU: far finer than a measurement, and the knapsack stays
small."""

Kept = tuple[BlockLoss, ...]
"""The blocks that stay in floating point."""


@dataclass(frozen=True)
class BlockChoice:
    """The blocks that stay in floating point, and the predicted and the measured cost of the others in INT8.

    predicted is the sum of the losses of the INT8 blocks, each measured alone, in points of mIoU; a block that gains
    counts as 0. It is None if INT8 everywhere meets the budget, because then no block was measured alone.
    """

    kept: Kept
    predicted: float | None
    comparison: Comparison

    @property
    def operators(self) -> frozenset[str]:
        """The names of the operators that stay in floating point, besides the excluded ones."""
        return _operators(self.kept)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "kept": [entry.to_json() for entry in self.kept],
            "predicted_drop_points": self.predicted,
            "measured_drop_points": self.comparison.drop,
            "interval_points": self.comparison.drop_interval,
            "agreement": self.comparison.agreement.share,
            "pictures": self.comparison.pictures,
        }


def within_budget(
    trials: Trials,
    max_drop: float,
    *,
    count: int = DEFAULT_COUNT,
    observer: Observer = SILENT,
) -> BlockChoice:
    """Return a cheap set of blocks to keep in floating point; the drop is then at most max_drop points of mIoU.

    If INT8 everywhere meets the budget, nothing else is measured. Otherwise each of at least count blocks is measured
    alone, and cheapest_that_holds chooses among them. The observer gets the progress over the pictures, and a note on
    the cost of each measured set, the empty one first.

    Raises AccuracyLossError if not even one block in INT8 meets the budget, DatasetError without labels and SpecError
    for a budget outside 0 to 100.
    """
    gate = Gate(max_drop)
    noted: set[Kept] = set()

    def drop_of(kept: Kept) -> float:
        try:
            comparison = trials.measure(_operators(kept), observer=observer)
        except QuantizationError:
            if not kept:
                raise
            return math.inf  # the target's rules leave nothing in INT8
        gate.require_measurable(labelled=comparison.labelled)
        if kept not in noted:
            noted.add(kept)
            _note(kept, comparison, max_drop, observer)
        return comparison.drop or 0.0

    if drop_of(()) <= max_drop + ROUNDING:
        return BlockChoice((), None, trials.measure())
    losses = analyse(trials, count=count, observer=observer).blocks
    kept = cheapest_that_holds(losses, max_drop, drop_of)
    predicted = sum(max(entry.loss, 0.0) for entry in losses if entry not in kept)
    return BlockChoice(kept, predicted, trials.measure(_operators(kept)))


def cheapest_that_holds(losses: Sequence[BlockLoss], max_drop: float, drop_of: Callable[[Kept], float]) -> Kept:
    """Return a set of blocks to keep in floating point whose drop, measured by drop_of, is at most max_drop.

    The first set is the one that loses the least INT8 work, by the losses of the single blocks. These do not quite add
    up, so larger sets follow until one meets the budget. Then its blocks return to INT8, the largest first, as long as
    the budget is met. Usually this takes one measurement for each block of the first set; at worst three for each block
    and one for each halving of the budget. Raises AccuracyLossError if not even one block alone in INT8 meets the
    budget.
    """
    least = math.inf
    for kept in dict.fromkeys(_ever_larger_sets(losses, max_drop)):
        if len(kept) == len(losses):
            continue
        drop = drop_of(kept)
        least = min(drop, least)
        if drop <= max_drop + ROUNDING:
            break
    else:
        raise AccuracyLossError(
            "no set of blocks in INT8 meets that budget",
            got=f"{least:.2f} points of mIoU lost at least",
            expected=f"at most {max_drop:g}",
            hint="allow a larger --max-drop, use another calibration method, or see in rtseg sensitivity what each "
            "block loses",
        )
    for entry in sorted(kept, key=lambda entry: -entry.block.macs):
        if entry.loss > max_drop - min(drop, 0.0):
            continue  # alone it exceeds the budget plus the gains of the others: not worth a trial
        fewer = tuple(other for other in kept if other is not entry)
        if (less := drop_of(fewer)) <= max_drop + ROUNDING:
            kept, drop = fewer, less
    return kept


def cheapest_to_keep(losses: Sequence[BlockLoss], budget: float) -> frozenset[int]:
    """Return the indices of the blocks to keep out of INT8, so that the losses of the others sum to at most budget.

    Losses and budget are in points of mIoU. The losses are assumed to add up, and each is rounded up to RESOLUTION
    (0.001 points). For the rounded losses, the result is the set with the fewest multiply-accumulates (a knapsack
    problem, solved exactly). A block that alone loses nothing stays INT8.
    """
    costs = [math.ceil(max(entry.loss, 0.0) / RESOLUTION - 1e-9) for entry in losses]
    capacity = min(math.floor(budget / RESOLUTION + 1e-9), sum(costs))
    # best[c]: the most work in INT8 for a loss of at most c, and its blocks.
    best: list[tuple[int, frozenset[int]]] = [(0, frozenset())] * (capacity + 1)
    for index, (entry, cost) in enumerate(zip(losses, costs)):
        for room in range(capacity, cost - 1, -1):
            work, chosen = best[room - cost]
            if work + entry.block.macs > best[room][0]:
                best[room] = (work + entry.block.macs, chosen | {index})
    return frozenset(range(len(losses))) - best[capacity][1]


def _ever_larger_sets(losses: Sequence[BlockLoss], max_drop: float) -> Iterator[Kept]:
    """Yield sets of blocks to keep, from the one that the losses suggest up to all but one block."""
    every = frozenset(range(len(losses)))

    def blocks(indices: Collection[int]) -> Kept:
        return tuple(losses[index] for index in sorted(indices))

    budget = max_drop
    while budget >= RESOLUTION:
        yield blocks(cheapest_to_keep(losses, budget))
        budget /= 2
    kept = cheapest_to_keep(losses, 0.0)
    # Each of the others loses nothing alone, but together they may. Those that change most pixels are the likeliest.
    for culprit in sorted(every - kept, key=lambda index: losses[index].agreement):
        yield blocks(kept)
        kept |= {culprit}
    # Sets with one block in INT8; the analysis has measured most of them.
    for index in sorted(every, key=lambda index: -losses[index].block.macs):
        yield blocks(every - {index})


def _note(kept: Kept, comparison: Comparison, max_drop: float, observer: Observer) -> None:
    drop = comparison.drop or 0.0
    lost = f"{drop:.2f} points of mIoU lost" if round(drop, 2) else "0.00 points of mIoU lost"
    if kept:
        blocks = "1 block" if len(kept) == 1 else f"{len(kept)} blocks"
        observer.note(f"without {blocks}, {sum(entry.share for entry in kept):.1%} of the MACs: {lost}")
        return
    observer.note(f"INT8 everywhere: {lost}")
    if drop > max_drop:
        observer.note(f"that is more than {max_drop:g}: measuring each block alone, then sets of blocks")


def _operators(kept: Kept) -> frozenset[str]:
    return frozenset(name for entry in kept for name in entry.block.operators)
