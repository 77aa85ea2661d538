"""Make a checkpoint: train a network, or import its authors' weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import WeightImportDetails
from rtseg.artifacts.files import PathLike, name_part, require_replaceable
from rtseg.artifacts.manifest import manifest_path
from rtseg.errors import SpecError, TrainingError
from rtseg.observer import SILENT, Observer
from rtseg.pipeline.arguments import (
    DEFAULT_RESOLUTION,
    Classes,
    NormalizationLike,
    OwnNetwork,
    Size,
    classes_of,
    normalization_of,
    prepared_network,
    require_at_least,
    resolution_of,
    with_preprocessing,
)
from rtseg.pipeline.packages import needed_for
from rtseg.pipeline.results import Result

if TYPE_CHECKING:
    from rtseg.networks.official import KeyReport
    from rtseg.training.recipe import TrainingRecipe as TrainingRecipe  # a public name of rtseg


@dataclass(frozen=True, repr=False)
class CheckpointImportResult(Result):
    """The checkpoint, and what happened to each key of the source."""

    artifact: Artifact
    source: str
    keys: KeyReport

    def _document(self) -> Mapping[str, Any]:
        """Return path and manifest, which lists the keys."""
        return self.artifact.to_json()


@dataclass(frozen=True, repr=False)
class TrainingResult(Result):
    """The checkpoint of the epoch with the best validation; its manifest holds the history."""

    artifact: Artifact

    def _document(self) -> Mapping[str, Any]:
        """Return path and manifest."""
        return self.artifact.to_json()


def import_checkpoint(
    network: str,
    source: PathLike,
    output: PathLike | None = None,
    *,
    classes: Classes,
    options: Mapping[str, str] | None = None,
    entry: str | None = None,
    resolution: Size = DEFAULT_RESOLUTION,
    head: str | int | None = None,
    threshold: float | None = None,
    normalization: NormalizationLike | None = None,
    fit: str | None = None,
    padding: int | None = None,
    precision: str = "fp32",
    observer: Observer = SILENT,
) -> CheckpointImportResult:
    """Turn another program's weights into an rtseg checkpoint. Code in the file is never run.

    network is a registered name, or "package.module:function" for one of your own. source is a file from torch.save or
    safetensors; entry is the place of the weights in it ("ema"), by default wherever they fit. Every key is accounted
    for: taken, renamed, or dropped because nothing computes with it. resolution, the training size, is recorded, and a
    network of your own is run once at it; head, threshold, normalization, fit and padding are those of `export` for
    such a network. precision "fp16" halves the file. output is by default NETWORK-CLASSES.safetensors.

    Raises MissingDependencyError, UnknownNameError, NetworkError, SpecError, CheckpointError for a file that does not
    fit, and WriteError.
    """
    with needed_for("importing a checkpoint", "export"):
        from rtseg.networks.checkpoints import network_from_weights, save_checkpoint
        from rtseg.networks.resolve import network_to_fill

    spec = classes_of(classes)
    name = f"{name_part(network)}-{name_part(spec.dataset) or f'{len(spec)}classes'}.safetensors"
    path = Path(output) if output is not None else Path(name)
    require_replaceable(path, manifest_path(path))
    size = resolution_of(resolution)
    own = OwnNetwork(head, threshold, normalization_of(normalization), fit, padding)
    filled = network_to_fill(network, spec, options=options, resolution=size, head=head, threshold=threshold)
    empty = with_preprocessing(filled, own)
    prepared, keys = network_from_weights(source, empty, entry=entry)
    details = WeightImportDetails(Path(source).name, keys.to_json())
    artifact = save_checkpoint(path, prepared, size, precision=precision, details=details)
    return CheckpointImportResult(artifact, Path(source).name, keys)


def training_recipe(path: PathLike | None, changes: Mapping[str, Any]) -> TrainingRecipe:
    """Return the recipe in a TOML file with those fields changed; without a file, the recipe of the fields alone.

    A field that is None is not changed. A file can only name a registered network: one of your own is imported only if
    changes names it. Raises SpecError with the wrong or missing field.
    """
    from rtseg.training.recipe import TrainingRecipe, read_recipe

    given = {name: value for name, value in changes.items() if value is not None}
    if path is not None:
        return read_recipe(path, network=given.get("network")).replaced(given)
    if missing := {"network", "data", "epochs"} - set(given):
        raise SpecError("a recipe lacks fields", expected=", ".join(sorted(missing)))
    return TrainingRecipe(**given)


def train(
    recipe: TrainingRecipe | PathLike,
    output: PathLike | None = None,
    *,
    data: str | None = None,
    init: ArtifactLike | None = None,
    backbone: PathLike | None = None,
    device: str | None = None,
    workers: int = 0,
    precision: str = "fp32",
    heads: bool = True,
    head: str | int | None = None,
    normalization: NormalizationLike | None = None,
    fit: str | None = None,
    padding: int | None = None,
    resume: bool = False,
    observer: Observer = SILENT,
) -> TrainingResult:
    """Train a network by a recipe, or its TOML file, and write the epoch with the best validation.

    data is the dataset with its folder ("camvid:DIR"), by default the recipe's. init are weights to start from.
    backbone is what the recipe's backbone needs: a file of ImageNet weights, or the checkpoint of a network with the
    same backbone. device is by default a GPU that PyTorch sees, else "cpu". Without heads the checkpoint lacks the
    auxiliary heads, which only training uses. A network of your own is run once at the recipe's crop; head,
    normalization, fit and padding are those of `export` for such a network. With resume, a killed run continues to the
    same weights as an uninterrupted one. output is by default NETWORK-DATA.safetensors; an existing file is never
    overwritten.

    Raises MissingDependencyError, SpecError, UnknownNameError, NetworkError, DatasetError, CheckpointError,
    TrainingError and WriteError.
    """
    with needed_for("training a network", "train"):
        from rtseg.training.fit import default_device
        from rtseg.training.fit import fit as trained
    from rtseg.datasets.registry import open_dataset
    from rtseg.training.recipe import TrainingRecipe, read_recipe

    if not isinstance(recipe, TrainingRecipe):
        recipe = read_recipe(recipe)
    require_at_least(0, workers=workers)
    source = data or recipe.data
    train_split, val_split = open_dataset(source, "train"), open_dataset(source, "val")
    prepared = prepared_network(
        recipe.network,
        classes=train_split.classes,
        checkpoint=init,
        options=recipe.options,
        seed=recipe.seed,
        resolution=recipe.crop_resolution,
        own=OwnNetwork(head, None, normalization_of(normalization), fit, padding),
    )
    name = f"{name_part(recipe.network)}-{name_part(recipe.data.partition(':')[0])}.safetensors"
    path = Path(output) if output is not None else Path(name)
    if os.path.exists(path):  # unlike Path.exists it never raises, even for a folder without access
        raise TrainingError(f"{path} exists already", hint="choose another name with -o")
    artifact = trained(
        prepared,
        recipe,
        train_split,
        val_split,
        path,
        backbone=backbone,
        resume=resume,
        device=device or default_device(),
        workers=workers,
        precision=precision,
        heads=heads,
        observer=observer,
    )
    return TrainingResult(artifact)
