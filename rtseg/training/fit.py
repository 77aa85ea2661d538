"""The training loop: takes a recipe and pictures, writes a checkpoint with its history."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rtseg.accuracy.validation import measured_accuracy
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import TrainingDetails
from rtseg.artifacts.files import PathLike, require_writable
from rtseg.artifacts.manifest import manifest_path
from rtseg.datasets.labelled import LabelledDataset, require_labels
from rtseg.datasets.patches import Patches
from rtseg.errors import DatasetError, TrainingError
from rtseg.frame.protocol import TensorSpec
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import PreparedNetwork
from rtseg.observer import SILENT, Observer
from rtseg.runners.torch import TorchRunner
from rtseg.specs import Resolution
from rtseg.training.backbone import load_backbone, require_same_backbone
from rtseg.training.class_shares import class_shares
from rtseg.training.epoch import NormalizedNetwork, train_epoch
from rtseg.training.losses import build_loss, require_loss
from rtseg.training.recipe import TrainingRecipe
from rtseg.training.state import TrainingState, read_training_state, state_path, write_training_state

OWN_LOSS = "ce+auxiliary"
"""The loss of a network of the user's own: none is published with it."""


def fit(
    network: PreparedNetwork,
    recipe: TrainingRecipe,
    train: LabelledDataset,
    val: LabelledDataset,
    output: Path,
    *,
    backbone: PathLike | None = None,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    precision: str = "fp32",
    heads: bool = True,
    observer: Observer = SILENT,
) -> Artifact:
    """Train the network's module in place; write the checkpoint of the best validated epoch and return it.

    Without heads the checkpoint leaves out the auxiliary heads, which only training uses. backbone is the file of
    ImageNet weights, or the checkpoint, that the recipe's backbone needs. Class shares are counted on whole pictures,
    even if the recipe cuts them into patches. The state is saved beside output after each epoch; with resume a killed
    run continues from there to the same weights as an uninterrupted one. Raises SpecError, UnknownNameError,
    DatasetError, CheckpointError, TrainingError and WriteError.
    """
    loss_name = recipe.loss or (network.spec.loss if network.spec else OWN_LOSS)
    require_loss(loss_name)
    samples = _samples(train, recipe)
    steps = len(samples) // recipe.batch_size
    if steps == 0:
        raise TrainingError(
            "the training split is smaller than one batch",
            got=len(samples),
            expected=f"at least {recipe.batch_size}",
            hint="pass a smaller --batch-size",
        )
    recipe.crop_resolution.require_multiple_of(network.module.multiple, network.name)
    _require_same_classes(network, train, val)
    if network.threshold is not None:
        raise TrainingError(
            f"{network.name} has one channel for its two classes",
            expected="a channel for each class, which the losses compare",
            hint="write a factory that builds two channels, and leave out the threshold",
        )
    for dataset, kind in ((train, "training "), (val, "validation ")):
        require_labels(dataset, kind=kind, observer=observer)
    validated_at = _validation_resolution(val, network)
    require_writable(output, manifest_path(output), state_path(output))
    _require_device(device)
    model = NormalizedNetwork(network).to(device)
    if device == "cpu":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(recipe, model)

    path = state_path(output)
    if path.exists() and not resume:
        raise TrainingError(
            f"{path} is from an unfinished run", hint="pass --resume to continue it, or delete it to begin again"
        )
    if path.exists():
        state = _resumed(path, recipe, backbone, network, model, optimizer)
        observer.note(f"resumed after epoch {state.epoch}")
    else:
        digest = load_backbone(network, recipe, backbone)
        shares = class_shares(train, observer)
        _require_readable(val, observer)
        state = TrainingState(
            0,
            model.state_dict(),
            optimizer.state_dict(),
            shares.tolist(),
            backbone_sha256=digest,
            classes=list(network.classes.names),
        )
    loss = build_loss(
        loss_name,
        np.array(state.shares),
        ignore_index=train.classes.ignore_index,
        align_corners=network.module.align_corners,
    ).to(device)

    while state.epoch < recipe.epochs:
        record = train_epoch(model, loss, optimizer, recipe, samples, state.epoch, steps, workers, observer)
        state.epoch += 1
        if state.epoch % recipe.validate_every == 0 or state.epoch == recipe.epochs:
            record["miou"] = _validated(network, val, validated_at, device)
            best = max((entry.get("miou", -1.0) for entry in state.history), default=-1.0)
            if record["miou"] > best:
                state.best_module, state.best_epoch = copy.deepcopy(network.module.state_dict()), state.epoch
        state.history.append(record)
        state.module, state.optimizer = model.state_dict(), optimizer.state_dict()
        write_training_state(path, recipe, state)
        observer.note(_epoch_line(record, recipe.epochs))

    assert state.best_module is not None
    network.module.load_state_dict(state.best_module)
    network.module.eval()
    details = TrainingDetails(
        recipe=recipe.to_json(),
        loss=loss_name,
        backbone_sha256=state.backbone_sha256,
        class_shares=tuple(state.shares),
        history=tuple(state.history),
        selected_epoch=state.best_epoch,
        selected_by="the best mIoU on the validation split",
        train_pictures=len(train),
        validation_pictures=len(val),
        validation_miou=state.history[state.best_epoch - 1]["miou"],
    )
    trained = replace(network, weights=f"trained on {recipe.data}, {recipe.epochs} epochs")
    artifact = save_checkpoint(output, trained, validated_at, precision=precision, heads=heads, details=details)
    path.unlink(missing_ok=True)
    return artifact


def _epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    miou = f"  val mIoU {record['miou']:.2%}" if "miou" in record else ""
    return f"epoch {record['epoch']:>4}/{epochs}  loss {record['loss']:.4f}{miou}"


def _samples(train: LabelledDataset, recipe: TrainingRecipe) -> LabelledDataset:
    """Return the samples of an epoch. Cuts the first patch now, so that an unfit grid is reported before the work."""
    if recipe.patch_grid is None:
        return train
    patches = Patches(train, recipe.patch_grid)
    if len(patches):
        _ = patches[0]
    return patches


def _resumed(
    path: Path,
    recipe: TrainingRecipe,
    backbone: PathLike | None,
    network: PreparedNetwork,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> TrainingState:
    state = read_training_state(path, recipe)
    names = list(network.classes.names)
    if state.classes not in (None, names):
        raise TrainingError(
            f"{path} belongs to other classes",
            got=", ".join(state.classes or ()),
            expected=", ".join(names),
            hint="use the data that it began with, or another output file",
        )
    if backbone is not None:
        require_same_backbone(backbone, state.backbone_sha256)
    try:
        model.load_state_dict(state.module)
        optimizer.load_state_dict(state.optimizer)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{path} does not fit {network.name}: {str(error).splitlines()[0]}",
            hint="use the network that it began with, or another output file",
        ) from error
    return state


def _optimizer(recipe: TrainingRecipe, model: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay)
    return torch.optim.Adam(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)


def _validated(network: PreparedNetwork, val: LabelledDataset, resolution: Resolution, device: str) -> float:
    network.module.eval()
    source = TensorSpec("image", (1, 3, resolution.height, resolution.width), "float32")
    runner = TorchRunner(network.module, source, device=device)
    with Segmenter(runner, network.image_spec(resolution), network.output_spec("logits")) as segmenter:
        miou = measured_accuracy(segmenter, val).miou
    assert miou is not None  # require_labels found a labelled pixel
    return miou


def _require_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: this PyTorch has no CUDA
        first = str(error).splitlines()[0]
        raise TrainingError(f"cannot train on {device!r}: {first}", expected="cpu, or cuda with a GPU") from error


def _require_same_classes(network: PreparedNetwork, train: LabelledDataset, val: LabelledDataset) -> None:
    for split, dataset in (("training", train), ("validation", val)):
        if dataset.classes.names != network.classes.names:
            raise DatasetError(
                f"the network and the {split} split have different classes",
                got=dataset.classes.words(network.classes),
                expected=network.classes.words(dataset.classes),
            )


def _require_readable(val: LabelledDataset, observer: Observer) -> None:
    """Read every validation picture once: a bad one would cost the first epoch. Raises the dataset's exceptions."""
    for index in range(len(val)):
        val[index]
        observer.progress("reading the validation split", index + 1, len(val))


def _validation_resolution(val: LabelledDataset, network: PreparedNetwork) -> Resolution:
    """Return the size of the validation pictures, rounded to a size that the network takes."""
    if len(val) == 0:
        raise TrainingError("the validation split is empty")
    multiple = network.module.multiple
    height, width = (max(multiple, round(side / multiple) * multiple) for side in val[0].labels.shape)
    return Resolution(height, width)


def default_device() -> str:
    """Return "cuda" if PyTorch sees a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"
