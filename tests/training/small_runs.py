"""Runs of a second: a network of one convolution, pictures of one colour, and an observer that can end a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.recipes import TrainingRecipe
from rtseg.specs import Normalization
from rtseg.training.epoch import TrainingObserver


class Killed(BaseException):
    """Ends a run as a kill does: nothing in the package may catch it."""


class Witness(TrainingObserver):
    """Keeps what it is told; ends the run at one step, if told to."""

    def __init__(self, killed_at: tuple[int, int] | None = None) -> None:
        self.losses: list[float] = []
        self.records: list[dict[str, Any]] = []
        self.resumed_after: list[int] = []
        self.counted: list[tuple[int, int]] = []
        self._killed_at = killed_at

    def counting(self, done: int, total: int) -> None:
        self.counted.append((done, total))

    def resumed(self, epoch: int) -> None:
        self.resumed_after.append(epoch)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.losses.append(loss)
        if (epoch, step) == self._killed_at:
            raise Killed

    def epoch(self, record: dict[str, Any]) -> None:
        self.records.append(record)


class Constant(SegmentationNetwork):
    """Logits from one 1x1 convolution at stride 1, at first in favour of class 0."""

    stride = 1
    align_corners = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 1)
        nn.init.zeros_(self.conv.weight)
        self.conv.bias.data = torch.tensor([2.0] + [0.0] * (classes - 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images)  # type: ignore[no-any-return]


class Grey:
    """Pictures that are all grey, with one label everywhere."""

    classes = class_spec("2")

    def __init__(self, count: int, label: int) -> None:
        self._count = count
        self._label = label

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> LabelledImage:
        image = np.full((16, 16, 3), 128, np.uint8)
        return LabelledImage(str(index), image, np.full((16, 16), self._label, np.uint8))


def constant() -> PreparedNetwork:
    return PreparedNetwork("mine:constant", Constant(2), Grey.classes, Normalization(), "made by hand")


TOWARDS_ONE = TrainingRecipe(
    "mine:constant", "grey", 6, batch_size=2, crop="16x16", optimizer="sgd", learning_rate=0.3, warmup_steps=0
)
"""Trains towards class 1 on pictures of class 1."""
