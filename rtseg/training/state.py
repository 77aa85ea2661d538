"""The state of a training run on disk, so that a killed run resumes as if nothing had happened."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rtseg.artifacts.files import require_regular_file, written_atomically
from rtseg.errors import SpecError, TrainingError
from rtseg.training.recipe import TrainingRecipe

UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    SpecError,
    pickle.UnpicklingError,
)
"""The exceptions of reading a file that is not a state, depending on how much it resembles one."""


@dataclass
class TrainingState:
    """Everything after `epoch` complete epochs.

    best_* is the state with the best validation so far, backbone_sha256 the digest of the file that the backbone
    started from, classes the names of the classes, None in a state of an rtseg that did not keep them.
    """

    epoch: int
    module: dict[str, Any]
    optimizer: dict[str, Any]
    shares: list[float]
    history: list[dict[str, Any]] = field(default_factory=list)
    best_module: dict[str, Any] | None = None
    best_epoch: int = 0
    backbone_sha256: str | None = None
    classes: list[str] | None = None


def state_path(output: Path) -> Path:
    """Return the path of the state of a run that writes that checkpoint."""
    return output.with_name(f"{output.name}.state")


def write_training_state(path: Path, recipe: TrainingRecipe, state: TrainingState) -> None:
    """Write the state so that a kill leaves either the old one or this one. Raises WriteError."""
    with written_atomically(path) as part:
        content = io.BytesIO()  # on a full disk PyTorch's own writer raises RuntimeError without the reason
        torch.save({"recipe": recipe.to_json(), **vars(state)}, content)
        part.write_bytes(content.getbuffer())


def read_training_state(path: Path, recipe: TrainingRecipe) -> TrainingState:
    """Return the state at path. Raises TrainingError if it is unreadable or of another recipe."""
    try:
        require_regular_file(path)
        loaded = torch.load(path, weights_only=True)
        recorded = TrainingRecipe(**loaded.pop("recipe")).to_json()  # fields added since then had their defaults
        state = TrainingState(**loaded)
    except UNREADABLE as error:
        raise TrainingError(f"{path} is not the state of a training run: {error}") from error
    changed = [name for name, value in recipe.to_json().items() if recorded[name] != value]
    if changed:
        raise TrainingError(
            f"{path} belongs to another recipe",
            got=", ".join(f"{name}={recorded[name]!r}" for name in changed),
            expected=", ".join(f"{name}={recipe.to_json()[name]!r}" for name in changed),
            hint="use the same recipe, or another output file",
        )
    return state
