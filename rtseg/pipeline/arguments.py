"""Arguments that several stages take: a size, a class list, a network."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Union

from rtseg.artifacts.artifact import CHECKPOINT_SUFFIX, Artifact, ArtifactLike, is_of_rtseg
from rtseg.errors import NetworkError, SpecError, UnknownNameError
from rtseg.pipeline.packages import needed_for
from rtseg.specs import NORMALIZATIONS, ClassSpec, Normalization, Resolution

if TYPE_CHECKING:
    from rtseg.networks.prepared import PreparedNetwork

Classes = Union[ClassSpec, str, int]
"""A class list, its name ("camvid", "camvid+void"), its file ("yard/classes.toml"), or a number of nameless classes."""

NetworkLike = Union[str, ArtifactLike]
"""A registered name, "package.module:function" for one of your own, or an rtseg checkpoint."""

DEFAULT_CLASSES = "cityscapes"
DEFAULT_RESOLUTION = Resolution(512, 1024)


Size = Union[Resolution, str, tuple[int, int]]
"""A resolution: a Resolution, text ("512x1024"), or (height, width)."""

NormalizationLike = Union[Normalization, str]
"""A Normalization, or the name of one: "imagenet" (its mean and std), "unit" (pixels from 0 to 1)."""

Item = TypeVar("Item")


def resolution_of(size: Size) -> Resolution:
    """Return the resolution of a size. Raises SpecError."""
    if isinstance(size, Resolution):
        return size
    if isinstance(size, str):
        return Resolution.parse(size)
    try:
        height, width = map(int, size)
    except (TypeError, ValueError) as error:
        raise SpecError("not a resolution", got=repr(size), expected="HEIGHTxWIDTH", hint="pass '512x1024'") from error
    return Resolution(height, width)


def listed(given: Iterable[Item] | Item | None) -> list[Item]:
    """Return the items of a list, tuple, set or generator; a single item becomes a list of one.

    None gives an empty list.
    """
    if isinstance(given, (list, tuple, set, frozenset, Iterator)):
        return list(given)
    return [] if given is None else [given]  # type: ignore[list-item]


def require_at_least(least: float, **values: float | None) -> None:
    """Raise SpecError, with the argument's name, for a number below least or not finite; None is accepted."""
    for name, value in values.items():
        if value is not None and not least <= value < math.inf:
            raise SpecError(f"{name} is out of range", got=value, expected=f"{least:g} or more")


def classes_of(classes: Classes) -> ClassSpec:
    """Return the class list of a ClassSpec, a name, a file, or a number. Raises UnknownNameError and SpecError."""
    from rtseg.datasets.registry import class_spec

    return classes if isinstance(classes, ClassSpec) else class_spec(str(classes))


def normalization_of(given: object) -> Normalization | None:
    """Return the normalisation of that name, or the given one. Raises UnknownNameError, SpecError for another type."""
    if given is None or isinstance(given, Normalization):
        return given
    if not isinstance(given, str):
        names = " or ".join(map(repr, NORMALIZATIONS))
        raise SpecError("not a normalization", got=type(given).__name__, expected=f"a Normalization, {names}")
    if given not in NORMALIZATIONS:
        raise UnknownNameError("normalization", given, NORMALIZATIONS)
    return NORMALIZATIONS[given]


@dataclass(frozen=True)
class OwnNetwork:
    """Facts about a user's own network that only its author knows; None means not given.

    head is the name or index of the output with the logits, threshold that of a single channel for two classes.
    normalization, fit and padding are those of ImageSpec.
    """

    head: str | int | None = None
    threshold: float | None = None
    normalization: Normalization | None = None
    fit: str | None = None
    padding: int | None = None


NOTHING_SAID = OwnNetwork()


def prepared_network(
    network: NetworkLike | None,
    *,
    checkpoint: ArtifactLike | None = None,
    entry: str | None = None,
    classes: Classes | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
    resolution: Resolution | None = None,
    own: OwnNetwork = NOTHING_SAID,
) -> PreparedNetwork:
    """Return the network given by a name, a factory "package.module:function" or a checkpoint, with its weights.

    checkpoint holds the weights, if network does not. A user's own network is run once at the resolution; own holds the
    facts about it. Raises NetworkError for anything else, and what resolve_network raises.
    """
    with needed_for("building a network", "export"):
        from rtseg.networks.resolve import resolve_network

    if network is not None and checkpoint is None and is_checkpoint(network):
        network, checkpoint = None, network
    if not isinstance(network, (str, type(None))):
        raise NetworkError(
            "not a network",
            got=type(network).__name__,
            expected="a name, a checkpoint, or package.module:function for one of your own",
        )
    factory = network if network is not None and ":" in network else None
    brings_classes = checkpoint is not None and is_of_rtseg(checkpoint)
    if classes is None and not brings_classes:
        classes = DEFAULT_CLASSES
    prepared = resolve_network(
        network if factory is None else None,
        None if classes is None else classes_of(classes),
        factory=factory,
        checkpoint=checkpoint,
        entry=entry,
        options=options,
        seed=seed,
        resolution=resolution,
        head=own.head,
        threshold=own.threshold,
    )
    return with_preprocessing(prepared, own)


def with_preprocessing(network: PreparedNetwork, own: OwnNetwork) -> PreparedNetwork:
    """Return the network with the preprocessing given in own, if any.

    Raises NetworkError for a registered network, whose preprocessing rtseg knows.
    """
    if own.normalization is None and own.fit is None and own.padding is None:
        return network
    if network.spec is not None:
        raise NetworkError(
            f"the preprocessing of {network.name} is fixed",
            got="another preprocessing",
            hint="leave it out, or use --module for a network of your own",
        )
    return replace(
        network,
        normalization=own.normalization or network.normalization,
        fit=own.fit or network.fit,
        padding=network.padding if own.padding is None else own.padding,
    )


def path_of(source: NetworkLike | None) -> Path | None:
    """Return the path of a checkpoint given as an artifact or a path; None for anything else."""
    given = getattr(source, "artifact", source)
    if isinstance(given, Artifact):
        return given.path
    return Path(given) if isinstance(given, (str, os.PathLike)) and Path(given).suffix else None


def is_checkpoint(source: object) -> bool:
    """Return whether source is an rtseg checkpoint: an artifact, a result with one, or a path of a .safetensors."""
    if isinstance(getattr(source, "artifact", source), Artifact):
        return True
    return isinstance(source, (str, os.PathLike)) and Path(source).suffix == CHECKPOINT_SUFFIX
