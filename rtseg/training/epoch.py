"""One epoch of training: the steps, their learning rates, and who is told of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from rtseg.datasets.labelled import LabelledDataset
from rtseg.errors import TrainingError
from rtseg.networks.prepared import PreparedNetwork
from rtseg.recipes import TrainingRecipe
from rtseg.specs import Normalization
from rtseg.training.losses import SegmentationLoss
from rtseg.training.samples import epoch_batches


class TrainingObserver:
    """Told how a run goes. The methods do nothing; a subclass shows what it wants to show."""

    def counting(self, done: int, total: int) -> None:
        """Pictures whose labels have been counted for the class shares."""

    def resumed(self, epoch: int) -> None:
        """The run goes on after that many complete epochs."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """One optimisation step is done."""

    def epoch(self, record: dict[str, Any]) -> None:
        """One epoch is done: epoch, loss, learning_rate and, where it was validated, miou."""


class NormalizedNetwork(nn.Module):
    """uint8 RGB (batch, 3, height, width) in, the network's training logits out; normalises on the device."""

    factor: Tensor
    offset: Tensor

    def __init__(self, network: PreparedNetwork) -> None:
        super().__init__()
        self.network = network.module
        normalization: Normalization = network.normalization
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (normalization.mean, normalization.std))
        self.swap = normalization.colour_order == "BGR"
        self.register_buffer("factor", normalization.scale / std, persistent=False)
        self.register_buffer("offset", mean / std, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then the auxiliary ones."""
        ordered = images.flip(1) if self.swap else images
        return self.network.training_logits(ordered.float() * self.factor - self.offset)


def learning_rate_factor(recipe: TrainingRecipe, step: int, total: int) -> float:
    """Return the share of the learning rate at a step: a linear warm-up, then polynomial decay to 0."""
    warmup = min(recipe.warmup_steps, total // 2)
    if step < warmup:
        return (step + 1) / warmup
    return float((1 - (step - warmup) / max(1, total - warmup)) ** recipe.poly_power)


def train_epoch(
    model: NormalizedNetwork,
    loss: SegmentationLoss,
    optimizer: torch.optim.Optimizer,
    recipe: TrainingRecipe,
    train: LabelledDataset,
    epoch: int,
    steps: int,
    workers: int,
    observer: TrainingObserver,
) -> dict[str, Any]:
    """Train on every batch of one epoch and return its record: epoch, mean loss, last learning rate.

    steps is the number of batches. Raises TrainingError where the loss is not finite.
    """
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)  # dropout: the only draw that is left to torch
    model.train()
    device = model.factor.device
    total = 0.0
    rate = recipe.learning_rate
    for step, (images, labels) in enumerate(epoch_batches(train, recipe, epoch, workers=workers)):
        rate = recipe.learning_rate * learning_rate_factor(recipe, epoch * steps + step, recipe.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.autocast == "bfloat16"):
            logits = _training_logits(model, images.to(device))
        value = loss(tuple(output.float() for output in logits), labels.to(device).long())
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        current = value.item()
        if not math.isfinite(current):
            raise TrainingError(
                f"the loss is {current} in epoch {epoch + 1}, step {step + 1}", hint="a lower --learning-rate"
            )
        total += current
        observer.step(epoch + 1, step + 1, steps, current)
    return {"epoch": epoch + 1, "loss": total / steps, "learning_rate": rate}


def _training_logits(model: NormalizedNetwork, images: Tensor) -> tuple[Tensor, ...]:
    try:
        return model(images)  # type: ignore[no-any-return]
    except ValueError as error:  # batch normalisation of a map that pooling left one value per channel
        batch, _, height, width = images.shape
        raise TrainingError(
            f"the network cannot be trained on batches of {batch} at {height}x{width}: {error}",
            hint="--batch-size 2 or more",
        ) from error
