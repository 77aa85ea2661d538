"""The training loop: recipe and pictures in, a checkpoint with its history out."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtseg.accuracy.validation import validate
from rtseg.artifacts import Manifest, require_writable
from rtseg.datasets.labelled import LabelledDataset
from rtseg.errors import DatasetError, TrainingError
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import PreparedNetwork
from rtseg.recipes import TrainingRecipe
from rtseg.runners.protocol import TensorSpec
from rtseg.runners.torch import TorchRunner
from rtseg.segmenter import Segmenter
from rtseg.specs import Normalization, Resolution
from rtseg.training.class_shares import class_shares
from rtseg.training.losses import SegmentationLoss, build_loss
from rtseg.training.samples import epoch_batches
from rtseg.training.state import TrainingState, read_state, state_path, write_state


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


def fit(
    network: PreparedNetwork,
    recipe: TrainingRecipe,
    train: LabelledDataset,
    val: LabelledDataset,
    output: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    precision: str = "fp32",
    observer: TrainingObserver | None = None,
) -> Manifest:
    """Train the network's module in place and write the checkpoint of the best validated epoch.

    The state is kept beside output after each epoch; with resume a killed run goes on from there to
    the same weights as one that was never killed. Raises SpecError, DatasetError, TrainingError and WriteError.
    """
    observer = observer or TrainingObserver()
    steps = len(train) // recipe.batch_size
    if steps == 0:
        raise TrainingError(
            "the training split is smaller than one batch", got=len(train), expected=f"at least {recipe.batch_size}"
        )
    recipe.crop_resolution.require_multiple_of(network.module.multiple, network.name)
    _require_same_classes(network, train, val)
    validated_at = _validation_resolution(val, network)
    require_writable(output)
    _require_device(device)
    model = NormalizedNetwork(network).to(device)
    if device == "cpu":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(recipe, model)

    path = state_path(output)
    if path.exists() and not resume:
        raise TrainingError(
            f"{path} is what an unfinished run left", hint="--resume to go on with it, or delete it to begin anew"
        )
    if path.exists():
        state = read_state(path, recipe)
        try:
            model.load_state_dict(state.module)
            optimizer.load_state_dict(state.optimizer)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"{path} does not fit {network.name}: {str(error).splitlines()[0]}",
                hint="the network it was begun with, or another output file",
            ) from error
        observer.resumed(state.epoch)
    else:
        shares = class_shares(train, observer.counting)
        state = TrainingState(0, model.state_dict(), optimizer.state_dict(), shares.tolist())
    loss = build_loss(
        network.spec.loss if network.spec else "ce",
        np.array(state.shares),
        ignore_index=train.classes.ignore_index,
        align_corners=network.module.align_corners,
    ).to(device)

    while state.epoch < recipe.epochs:
        record = _train_epoch(model, loss, optimizer, recipe, train, state.epoch, steps, workers, observer)
        state.epoch += 1
        if state.epoch % recipe.validate_every == 0 or state.epoch == recipe.epochs:
            record["miou"] = _validated(network, val, validated_at, device)
            best = max((entry.get("miou", -1.0) for entry in state.history), default=-1.0)
            if record["miou"] > best:
                state.best_module, state.best_epoch = copy.deepcopy(network.module.state_dict()), state.epoch
        state.history.append(record)
        state.module, state.optimizer = model.state_dict(), optimizer.state_dict()
        write_state(path, recipe, state)
        observer.epoch(record)

    assert state.best_module is not None
    network.module.load_state_dict(state.best_module)
    network.module.eval()
    details = {
        "recipe": recipe.to_json(),
        "class_shares": state.shares,
        "history": state.history,
        "selected_epoch": state.best_epoch,
        "selected_by": "the best mIoU on the validation split",
        "train_pictures": len(train),
        "validation_pictures": len(val),
        "validation_miou": state.history[state.best_epoch - 1]["miou"],
    }
    trained = replace(network, weights=f"trained on {recipe.data}, {recipe.epochs} epochs")
    manifest = save_checkpoint(output, trained, validated_at, precision=precision, details=details)
    path.unlink(missing_ok=True)
    return manifest


def learning_rate_factor(recipe: TrainingRecipe, step: int, total: int) -> float:
    """Return the share of the learning rate at a step: a linear warm-up, then polynomial decay to 0."""
    warmup = min(recipe.warmup_steps, total // 2)
    if step < warmup:
        return (step + 1) / warmup
    return float((1 - (step - warmup) / max(1, total - warmup)) ** recipe.poly_power)


def _train_epoch(
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


def _optimizer(recipe: TrainingRecipe, model: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)


def _validated(network: PreparedNetwork, val: LabelledDataset, resolution: Resolution, device: str) -> float:
    network.module.eval()
    source = TensorSpec("image", (1, 3, resolution.height, resolution.width), "float32")
    runner = TorchRunner(network.module, source, device=device)
    with Segmenter(runner, network.image_spec(resolution), network.output_spec("logits")) as segmenter:
        miou = validate(segmenter, val).miou
    if miou is None:
        raise TrainingError("the validation split has no labelled pixel")
    return miou


def _require_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # an AssertionError says that this PyTorch has no CUDA
        first = str(error).splitlines()[0]
        raise TrainingError(f"cannot train on {device!r}: {first}", expected="cpu, or cuda with a GPU") from error


def _require_same_classes(network: PreparedNetwork, train: LabelledDataset, val: LabelledDataset) -> None:
    for split, dataset in (("training", train), ("validation", val)):
        if dataset.classes.names != network.classes.names:
            raise DatasetError(
                f"the network and the {split} split speak of different classes",
                got=f"{dataset.classes.dataset or 'a list'} with {len(dataset.classes)}",
                expected=f"{network.classes.dataset or 'a list'} with {len(network.classes)}",
            )


def _validation_resolution(val: LabelledDataset, network: PreparedNetwork) -> Resolution:
    """Return the size of the validation pictures, rounded to what the network takes."""
    if len(val) == 0:
        raise TrainingError("the validation split is empty")
    multiple = network.module.multiple
    height, width = (max(multiple, round(side / multiple) * multiple) for side in val[0].labels.shape)
    return Resolution(height, width)


def default_device() -> str:
    """Return "cuda" where PyTorch sees a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"
