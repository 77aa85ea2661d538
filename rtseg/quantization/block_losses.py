"""Measure what each block costs in accuracy: one block at a time becomes INT8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtseg.accuracy.bootstrap import Interval
from rtseg.accuracy.comparison import Comparison
from rtseg.graphs.macs import macs_by_node
from rtseg.observer import SILENT, Observer, Part
from rtseg.quantization.blocks import DEFAULT_COUNT, Block, blocks_of
from rtseg.quantization.targets import placement_for
from rtseg.quantization.trials import Trials


@dataclass(frozen=True)
class BlockLoss:
    """The cost of INT8 in one block alone.

    share is the block's fraction of the network's MACs. drop and its 95 % interval are in points of mIoU, None without
    labels; the agreements with FP32 are fractions.
    """

    block: Block
    share: float
    drop: float | None
    interval: Interval | None
    agreement: float
    border_agreement: float | None

    @property
    def loss(self) -> float:
        """The value that ranks blocks: points of mIoU or, without labels, the percentage of pixels that change."""
        return self.drop if self.drop is not None else (1 - self.agreement) * 100

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "block": self.block.name,
            "operators": sorted(self.block.operators),
            "macs": self.block.macs,
            "macs_share": self.share,
            "drop_points": self.drop,
            "interval_points": self.interval,
            "agreement": self.agreement,
            "border_agreement": self.border_agreement,
        }


@dataclass(frozen=True)
class Sensitivity:
    """The loss of every block, worst first, and the loss with all of them in INT8."""

    blocks: tuple[BlockLoss, ...]
    together: Comparison
    pictures: int
    target: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "target": self.target,
            "pictures": self.pictures,
            "labelled": self.together.labelled,
            "together": {
                "drop_points": self.together.drop,
                "interval_points": self.together.drop_interval,
                "agreement": self.together.agreement.share,
                "border_agreement": self.together.agreement.border_share,
            },
            "blocks": [entry.to_json() for entry in self.blocks],
        }


TASK = "trying the blocks"


def analyse(trials: Trials, *, count: int = DEFAULT_COUNT, observer: Observer = SILENT) -> Sensitivity:
    """Return the loss of each block when only that block is INT8, on the pictures of the trials.

    blocks_of splits the operators that can be INT8 into at least count blocks. The observer gets the progress over the
    pictures of all trials: one trial with every block in INT8, then one for each block.
    """
    able = placement_for(trials.target, trials.view, trials.excluded).multiplying
    macs = macs_by_node(trials.view)
    blocks = blocks_of([name for name in macs if name in able], macs, count=count)
    work = sum(macs.values())
    total = (len(blocks) + 1) * len(trials)

    def step(number: int) -> Observer:
        return Part(observer, TASK, number * len(trials), total)

    together = trials.measure(observer=step(0))
    losses = []
    for number, block in enumerate(blocks, 1):
        observer.progress(TASK, number * len(trials), total)  # the previous trial may have been measured before
        alone = trials.measure_alone(block.operators, observer=step(number))
        losses.append(
            BlockLoss(
                block,
                block.macs / work,
                alone.drop,
                alone.drop_interval,
                alone.agreement.share,
                alone.agreement.border_share,
            )
        )
    losses.sort(key=lambda entry: (-entry.loss, entry.agreement))
    return Sensitivity(tuple(losses), together, len(trials), trials.target)
