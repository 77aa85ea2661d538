"""Runs of a second: a network of one convolution, pictures of one colour, and an observer that can end a run."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor, nn

from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.observer import Observer
from rtseg.specs import Normalization
from rtseg.training.recipe import TrainingRecipe


class Killed(BaseException):
    """Ends a run as a kill does: nothing in the package may catch it."""


class Witness(Observer):
    """Keeps what it gets; ends the run after so many steps, if asked to."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.losses: list[float] = []
        self.epochs: list[tuple[int, float, bool]] = []
        self.resumed_after: list[int] = []
        self.counted: list[tuple[float, float | None]] = []
        self._killed_after = killed_after

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        if task == "counting classes":
            self.counted.append((done, total))
            return
        if task == "reading the validation split":
            return
        self.losses.append(float(detail.split()[-1]))
        if done == self._killed_after:
            raise Killed

    def note(self, text: str) -> None:
        if found := re.fullmatch(r"resumed after epoch (\d+)", text):
            self.resumed_after.append(int(found[1]))
        elif found := re.match(r"epoch +(\d+)/\d+  loss ([\d.]+)", text):
            self.epochs.append((int(found[1]), float(found[2]), "val mIoU" in text))


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
