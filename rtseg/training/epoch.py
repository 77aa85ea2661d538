"""One epoch of training: its steps and their learning rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rtseg.datasets.labelled import LabelledDataset
from rtseg.errors import TrainingError
from rtseg.networks.normalization import NormalizingModule
from rtseg.networks.prepared import PreparedNetwork
from rtseg.observer import Observer
from rtseg.training.losses import SegmentationLoss
from rtseg.training.recipe import TrainingRecipe
from rtseg.training.samples import epoch_batches


class NormalizedNetwork(NormalizingModule):
    """Takes uint8 RGB (batch, 3, height, width), normalises it on the device, returns the network's training logits."""

    def __init__(self, network: PreparedNetwork) -> None:
        super().__init__(network.normalization, persistent=False)
        self.network = network.module
        self.swap = network.normalization.colour_order == "BGR"

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits, then the auxiliary ones."""
        ordered = images.flip(1) if self.swap else images
        return self.network.training_logits(self.normalized(ordered))


def learning_rate_factor(recipe: TrainingRecipe, step: int, total: int) -> float:
    """Return the fraction of the learning rate at a step: a linear warm-up, then polynomial decay to 0."""
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
    observer: Observer,
) -> dict[str, Any]:
    """Train on every batch of one epoch and return its record: epoch, mean loss, last learning rate.

    steps is the number of batches. Raises TrainingError if the loss is not finite.
    """
    torch.manual_seed(recipe.seed * 1_000_003 + epoch)  # for dropout: the only random numbers drawn by torch
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
                f"the loss is {current} in epoch {epoch + 1}, step {step + 1}", hint="use a lower --learning-rate"
            )
        total += current
        words = f"epoch {epoch + 1}/{recipe.epochs}  loss {current:.4f}"
        observer.progress("training", epoch * steps + step + 1, recipe.epochs * steps, words)
    return {"epoch": epoch + 1, "loss": total / steps, "learning_rate": rate}


def _training_logits(model: NormalizedNetwork, images: Tensor) -> tuple[Tensor, ...]:
    try:
        return model(images)  # type: ignore[no-any-return]
    except ValueError as error:  # batch normalisation of a map that pooling reduced to one value per channel
        batch, _, height, width = images.shape
        raise TrainingError(
            f"the network cannot be trained on batches of {batch} at {height}x{width}: {error}",
            hint="use --batch-size 2 or more",
        ) from error
