"""Arguments that several stages take: a size, a class list, a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Union

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.specs import ClassSpec, Resolution

if TYPE_CHECKING:
    from rtseg.networks.prepared import PreparedNetwork

Classes = Union[ClassSpec, str, int]
"""A class list, the name of one ("camvid", "camvid+void"), or how many nameless ones."""

DEFAULT_CLASSES = "cityscapes"
DEFAULT_RESOLUTION = Resolution(512, 1024)


def resolution_of(size: Resolution | str) -> Resolution:
    """Return a size given as a Resolution or as text such as "512x1024". Raises SpecError."""
    return size if isinstance(size, Resolution) else Resolution.parse(size)


def classes_of(classes: Classes) -> ClassSpec:
    """Return a class list given as one, by name, or by number. Raises UnknownNameError and SpecError."""
    from rtseg.datasets.registry import class_spec

    return classes if isinstance(classes, ClassSpec) else class_spec(str(classes))


def prepared_network(
    network: str | None,
    *,
    checkpoint: ArtifactLike | None = None,
    classes: Classes | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> PreparedNetwork:
    """Return the network that a name, or a factory "package.module:function", and a checkpoint describe together."""
    from rtseg.networks.resolve import resolve_network

    factory = network if network is not None and ":" in network else None
    brings_classes = isinstance(checkpoint, Artifact) or (
        checkpoint is not None and Path(checkpoint).suffix == ".safetensors"
    )
    if classes is None and not brings_classes:
        classes = DEFAULT_CLASSES
    return resolve_network(
        network if factory is None else None,
        None if classes is None else classes_of(classes),
        factory=factory,
        checkpoint=checkpoint,
        options=options,
        seed=seed,
    )
