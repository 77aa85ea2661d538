"""Turn the user's input into a prepared network: a name, a checkpoint, or their own factory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rtseg.artifacts.artifact import Artifact, ArtifactLike, artifact_or_path, is_of_rtseg
from rtseg.errors import CheckpointError, NetworkError, UnknownNameError
from rtseg.networks.checkpoints import network_from_checkpoint, network_from_weights
from rtseg.networks.factories import network_from_factory
from rtseg.networks.outputs import Head
from rtseg.networks.prepared import PreparedNetwork, build_network, network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.specs import ClassSpec, Resolution


def resolve_network(
    name: str | None,
    classes: ClassSpec | None,
    *,
    factory: str | None = None,
    checkpoint: ArtifactLike | None = None,
    entry: str | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
    resolution: Resolution | None = None,
    head: Head = None,
    threshold: float | None = None,
) -> PreparedNetwork:
    """Return the network given by name or factory, and checkpoint.

    An rtseg checkpoint names its network and classes itself; name and classes, if given, must agree. Another
    program's file holds only weights, so it needs the name or the factory, and the classes; entry is the place of the
    weights in it. A user's own network is run once at the resolution; head selects its output. Raises UnknownNameError,
    NetworkError, CheckpointError and ManifestError.
    """
    if name is not None and factory is not None:
        raise NetworkError(
            "both a network and a factory are given", got=f"{name} and {factory}", expected="one of them"
        )
    if factory is None:
        _require_nothing_of_outputs(head, threshold)
    given = None if checkpoint is None else artifact_or_path(checkpoint)
    if name is not None and name not in network_names():
        raise UnknownNameError("network", name, network_names())
    if given is not None and is_of_rtseg(given):
        if entry is not None:
            raise CheckpointError(
                f"{given} is an rtseg checkpoint: it has one set of weights", hint="leave out --entry"
            )
        network = network_from_checkpoint(
            given, name=factory or name, resolution=resolution, head=head, threshold=threshold
        )
        _require_same(network, classes, options or {}, given)
        if classes is None:
            return network
        # Colours are the caller's to choose: the weights know none.
        return replace(network, classes=replace(network.classes, palette=classes.palette))
    if given is None and entry is not None:
        raise CheckpointError("an entry is given without a checkpoint", hint="pass --checkpoint FILE")
    if name is None and factory is None:
        if given is not None:
            raise CheckpointError(
                f"{given} has no manifest beside it, which would name its network",
                hint="pass the network's name or --module PACKAGE.MODULE:FACTORY, and --classes",
            )
        raise NetworkError(
            "no network is named", expected=f"one of {', '.join(network_names())}, --module or --checkpoint"
        )
    if classes is None:
        raise NetworkError(
            "the classes are not known", hint="pass --classes cityscapes, camvid, voc, streets or a number"
        )
    if name is not None and given is None:
        return network_with_random_weights(name, classes, options=options, seed=seed)
    network = network_to_fill(
        factory or name or "",
        classes,
        options=options,
        seed=seed,
        resolution=resolution,
        head=head,
        threshold=threshold,
    )
    return network_from_weights(given, network, entry=entry)[0] if isinstance(given, Path) else network


def network_to_fill(
    name: str,
    classes: ClassSpec,
    *,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
    resolution: Resolution | None = None,
    head: Head = None,
    threshold: float | None = None,
) -> PreparedNetwork:
    """Return a registered network, or one from a factory "package.module:function", with its initial weights.

    Raises UnknownNameError and NetworkError.
    """
    if ":" not in name:
        _require_nothing_of_outputs(head, threshold)
        return build_network(name, classes, options=options, seed=seed)
    if options:
        raise NetworkError(
            "a network of your own has no options", got=", ".join(options), hint="write a factory for each variant"
        )
    return network_from_factory(name, classes, seed=seed, resolution=resolution, head=head, threshold=threshold)


def _require_nothing_of_outputs(head: Head, threshold: float | None) -> None:
    """Raise NetworkError if an output or a threshold is given for a registered network."""
    if head is not None or threshold is not None:
        got = "--threshold" if head is None else f"--output {head}"
        raise NetworkError(
            "--output and --threshold are only for a network of your own",
            got=f"{got} for a registered network",
            hint="leave it out",
        )


def _require_same(
    network: PreparedNetwork, classes: ClassSpec | None, options: Mapping[str, str], checkpoint: Artifact | Path
) -> None:
    label = checkpoint.path if isinstance(checkpoint, Artifact) else checkpoint
    if classes is not None and classes.names != network.classes.names:
        raise CheckpointError(
            f"{label} was trained for other classes",
            got=network.classes.words(classes),
            expected=classes.words(network.classes),
            hint="leave out --classes, or use data of the checkpoint's classes",
        )
    for option, value in options.items():
        if network.options.get(option) != value:
            raise CheckpointError(
                f"{label} was trained with another option {option}",
                got=network.options.get(option),
                expected=value,
            )
