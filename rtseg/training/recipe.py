"""Training recipes: a TOML file becomes a frozen dataclass, and every field is checked."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.datasets.patches import PatchGrid
from rtseg.errors import SpecError
from rtseg.specs import MAX_SEED, Resolution

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

OPTIMIZERS = ("adam", "sgd")
AUTOCASTS = ("off", "bfloat16")
BACKBONES = ("random", "imagenet", "checkpoint")

_ACCEPTED: dict[str, tuple[type, ...]] = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything that decides how a network is trained, so that the same recipe gives the same weights.

    data is a dataset as on the command line, without its folder ("camvid", "streets:256x512"). loss is a name in
    rtseg.training.losses, or "" for the network's own. backbone is what the backbone starts from: "imagenet" needs a
    file of those weights, "checkpoint" an rtseg checkpoint of any network with the same backbone. patches
    ("2x4 of 880x880") first cuts each training picture into a grid of windows. crop is the size of a training sample,
    cropped after scaling by a factor drawn log-uniformly from scale_min..scale_max. The learning rate rises linearly
    over warmup_steps, then falls as (1 - progress) ** poly_power; 0 keeps it constant. jitter is the largest relative
    change of brightness, contrast and saturation. autocast "bfloat16" computes in that type what torch.autocast
    considers safe; weights, batch statistics and the loss stay in float32.
    """

    network: str
    data: str
    epochs: int
    options: Mapping[str, str] = field(default_factory=dict)
    loss: str = ""
    backbone: str = "random"
    patches: str = ""
    batch_size: int = 8
    crop: str = "360x480"
    optimizer: str = "adam"
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    poly_power: float = 0.9
    scale_min: float = 0.75
    scale_max: float = 2.0
    flip: bool = True
    jitter: float = 0.0
    validate_every: int = 1
    autocast: str = "off"
    seed: int = 0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            expected = _ACCEPTED.get(str(entry.type), (Mapping,))
            if not isinstance(value, expected) or (entry.type != "bool" and isinstance(value, bool)):
                raise SpecError(f"the recipe's {entry.name} has the wrong type", got=repr(value), expected=entry.type)
            if isinstance(value, float) and not math.isfinite(value):
                raise SpecError(f"the recipe's {entry.name} is not finite", got=value)
        if not all(isinstance(text, str) for pair in self.options.items() for text in pair):
            raise SpecError("the recipe's options are not text", got=dict(self.options), expected="names and values")
        positive = ("epochs", "batch_size", "learning_rate", "scale_min", "validate_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SpecError(f"the recipe's {name} must be positive", got=getattr(self, name))
        for name in ("weight_decay", "warmup_steps", "poly_power", "jitter", "seed"):
            if getattr(self, name) < 0:
                raise SpecError(f"the recipe's {name} must not be negative", got=getattr(self, name))
        if self.seed > MAX_SEED:
            raise SpecError("the recipe's seed is out of range", got=self.seed, expected=f"0 to {MAX_SEED}")
        if self.jitter > 1:
            raise SpecError("the recipe's jitter is out of range", got=self.jitter, expected="0 to 1")
        if self.scale_max < self.scale_min:
            raise SpecError("scale_max is below scale_min", got=self.scale_max, expected=f">= {self.scale_min}")
        if self.optimizer not in OPTIMIZERS:
            raise SpecError("unknown optimizer", got=repr(self.optimizer), expected=f"one of {', '.join(OPTIMIZERS)}")
        if self.autocast not in AUTOCASTS:
            raise SpecError("unknown autocast", got=repr(self.autocast), expected=f"one of {', '.join(AUTOCASTS)}")
        if self.backbone not in BACKBONES:
            raise SpecError("unknown backbone", got=repr(self.backbone), expected=f"one of {', '.join(BACKBONES)}")
        Resolution.parse(self.crop)
        if self.patches:
            PatchGrid.parse(self.patches)

    @property
    def crop_resolution(self) -> Resolution:
        """The size of a training sample."""
        return Resolution.parse(self.crop)

    @property
    def patch_grid(self) -> PatchGrid | None:
        """The grid that training pictures are cut into first, None if they are not."""
        return PatchGrid.parse(self.patches) if self.patches else None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {**asdict(self), "options": dict(self.options)}

    def replaced(self, changes: Mapping[str, Any]) -> TrainingRecipe:
        """Return the recipe with those fields changed; fields given as None keep their value."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


def read_recipe(path: PathLike, *, network: str | None = None) -> TrainingRecipe:
    """Return the recipe in a TOML file, for another network if one is given.

    A data file must not decide which code is imported, so the file itself may name only a registered network. Raises
    SpecError, naming the field that is wrong.
    """
    try:
        data = tomllib.loads(read_utf8(path))
    except OSError as error:
        raise SpecError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or endless numbers and nesting
        raise SpecError(f"{path} is not TOML: {error}") from error
    known = {entry.name for entry in fields(TrainingRecipe)}
    if unknown := sorted(set(data) - known):
        raise SpecError(f"{path} has unknown fields", got=", ".join(unknown), expected=", ".join(sorted(known)))
    if missing := sorted({"network", "data", "epochs"} - set(data)):
        raise SpecError(f"{path} lacks fields", expected=", ".join(missing))
    recipe = TrainingRecipe(**data if network is None else {**data, "network": network})
    if network is None and ":" in recipe.network:
        raise SpecError(
            f"{path} names a network of your own, whose code would be imported",
            got=repr(recipe.network),
            expected="a registered network",
            hint=f"pass --module {recipe.network}, if you trust it",
        )
    return recipe
