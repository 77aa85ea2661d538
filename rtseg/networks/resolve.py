"""From what the user typed to a prepared network: a name, a checkpoint, or a factory of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rtseg.artifacts.artifact import Artifact, ArtifactLike, artifact_or_path
from rtseg.artifacts.files import sha256_of
from rtseg.errors import CheckpointError, NetworkError, UnknownNameError
from rtseg.networks.checkpoints import (
    PTH_SUFFIXES,
    load_state,
    network_from_checkpoint,
    network_from_pth,
    read_pth_state,
)
from rtseg.networks.prepared import PreparedNetwork, network_from_factory, network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.specs import ClassSpec


def resolve_network(
    name: str | None,
    classes: ClassSpec | None,
    *,
    factory: str | None = None,
    checkpoint: ArtifactLike | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> PreparedNetwork:
    """Return the network that name, factory and checkpoint describe together.

    A safetensors checkpoint names its network and classes itself; name and classes, where given, must
    agree. A .pth file holds weights only, so it needs the name or the factory, and the classes.
    Raises UnknownNameError, NetworkError, CheckpointError and ManifestError.
    """
    if name is not None and factory is not None:
        raise NetworkError(
            "a network is named and a factory given", got=f"{name} and {factory}", expected="one of them"
        )
    given = None if checkpoint is None else artifact_or_path(checkpoint)
    if isinstance(given, Artifact) or (given is not None and given.suffix not in PTH_SUFFIXES):
        if name is not None and name not in network_names():
            raise UnknownNameError("network", name, network_names())
        network = network_from_checkpoint(given, name=factory or name)
        _require_same(network, classes, options or {}, given)
        return network
    if classes is None:
        raise NetworkError("the classes are not known", hint="--classes cityscapes, camvid, voc, streets or a number")
    if factory is not None:
        if options:
            raise NetworkError(
                "a network of your own has no options", got=", ".join(options), hint="a factory for each variant"
            )
        network = network_from_factory(factory, classes, seed=seed)
        if given is not None:
            load_state(network, read_pth_state(given), given)
            source = f"imported from {given.name}"
            network = replace(network, weights=source, parent_sha256=sha256_of(given))
        return network
    if name is None:
        raise NetworkError(
            "no network is named", expected=f"one of {', '.join(network_names())}, --module or --checkpoint"
        )
    if given is not None:
        return network_from_pth(given, name, classes, options=options)
    return network_with_random_weights(name, classes, options=options, seed=seed)


def _require_same(
    network: PreparedNetwork, classes: ClassSpec | None, options: Mapping[str, str], checkpoint: Artifact | Path
) -> None:
    label = checkpoint.path if isinstance(checkpoint, Artifact) else checkpoint
    if classes is not None and classes.names != network.classes.names:
        raise CheckpointError(
            f"{label} was trained for other classes",
            got=f"{network.classes.dataset or 'a list'} with {len(network.classes)}",
            expected=f"{classes.dataset or 'a list'} with {len(classes)}",
            hint="without --classes: the checkpoint brings its own",
        )
    for option, value in options.items():
        if network.options.get(option) != value:
            raise CheckpointError(
                f"{label} was trained with another option {option}",
                got=network.options.get(option),
                expected=value,
            )
