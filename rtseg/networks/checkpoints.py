"""Weights on disk: rtseg writes safetensors with a manifest, and reads other programs' weight files as a source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.artifacts.details import Details
from rtseg.artifacts.files import PathLike, sha256_of, written_together
from rtseg.artifacts.manifest import Manifest, manifest_path, write_manifest
from rtseg.errors import CheckpointError, first_line
from rtseg.networks.factories import network_from_factory
from rtseg.networks.official import KeyReport, our_tensors
from rtseg.networks.outputs import Head
from rtseg.networks.prepared import PreparedNetwork, build_network
from rtseg.networks.readings import Reading, entries_of, is_counter, readings
from rtseg.networks.weight_files import read_weight_file
from rtseg.specs import Resolution


def save_checkpoint(
    path: PathLike,
    network: PreparedNetwork,
    resolution: Resolution,
    *,
    precision: str = "fp32",
    heads: bool = True,
    details: Details | None = None,
) -> Artifact:
    """Write the weights as safetensors with their manifest, and return both.

    Without heads the auxiliary heads are left out; the logits do not depend on them.

    precision "fp16" rounds the convolution kernels, but keeps one-dimensional tensors in float32 (biases, and batch
    statistics, whose small variances float16 cannot hold). Raises WriteError.
    """
    half = precision == "fp16"
    tensors = {
        key: (value.half() if half and value.is_floating_point() and value.ndim > 1 else value).cpu().contiguous()
        for key, value in network.module.named_weights.state_dict().items()
        if not is_counter(key) and (heads or not _is_auxiliary(key, network))
    }
    manifest = Manifest(
        kind="checkpoint",
        network=network.name,
        options=dict(network.options),
        weights=network.weights,
        precision=precision,
        image=network.image_spec(resolution),
        output=network.output_spec("logits"),
        parent_sha256=network.parent_sha256,
        details=details or Details(),
    )
    with written_together(path, manifest_path(path)) as (part, sidecar):
        part.write_bytes(save_tensors(tensors))
        manifest = write_manifest(part, manifest, sidecar=sidecar)
    return Artifact(Path(path), manifest)


def network_from_checkpoint(
    source: ArtifactLike,
    *,
    name: str | None = None,
    resolution: Resolution | None = None,
    head: Head = None,
    threshold: float | None = None,
) -> PreparedNetwork:
    """Return the network of a checkpoint written by save_checkpoint, in float32.

    Its manifest names the network and its classes; `name`, if given, must agree. A user's own network must be named,
    because a data file must not decide which code is imported. It is run once at the resolution, by default the
    manifest's; head selects its output. Raises ManifestError, CheckpointError and NetworkError.
    """
    artifact = Artifact.claimed(source, kind="checkpoint")
    manifest, path = artifact.manifest, artifact.path
    if name is not None and name != manifest.network:
        raise CheckpointError(
            f"{path} holds another network",
            got=manifest.network,
            expected=name,
            hint=f"pass the name {manifest.network}",
        )
    if name is None and ":" in manifest.network:
        raise CheckpointError(
            f"{path} holds the weights of a network of your own",
            hint=f"pass --module {manifest.network}, if you trust it",
        )
    if ":" in manifest.network:
        size = resolution or manifest.image.resolution
        threshold = manifest.output.threshold if threshold is None else threshold
        network = network_from_factory(
            manifest.network, manifest.output.classes, resolution=size, head=head, threshold=threshold
        )
    else:
        network = build_network(manifest.network, manifest.output.classes, options=manifest.options)
    _, state, _ = _fitting(network, _own_tensors(network), readings(_tensors(artifact), _own_tensors(network)), path)
    load_state(network, state, path)
    return replace(
        network,
        normalization=manifest.image.normalization,
        fit=manifest.image.fit,
        padding=manifest.image.padding,
        weights=manifest.weights,
        parent_sha256=manifest.sha256,
    )


def network_from_weights(
    path: PathLike,
    network: PreparedNetwork,
    *,
    entry: str | None = None,
) -> tuple[PreparedNetwork, KeyReport]:
    """Return the network with the weights of another program's file, and a report on each key.

    The file is from torch.save or safetensors; code in it is never run. The network's own names are searched first,
    then the same names with the additions of training programs (readings.py); names of a network's authors go through
    its key map. entry is the place to search in the file ("ema"), by default everywhere. Raises CheckpointError, also
    if two different readings fit.
    """
    label = f"imported from {Path(path).name}"
    own = _own_tensors(network)
    reading, state, report = _fitting(network, own, _readings_of(path, own, entry), path)
    load_state(network, state, path)
    report = replace(report, reading=str(reading), left_out=reading.left_out)
    weights = f"{label} ({reading})" if str(reading) else label
    return replace(network, weights=weights, parent_sha256=sha256_of(path)), report


def weights_by_name(path: PathLike) -> dict[str, Tensor]:
    """Return the tensors of the largest entry of another program's file, without wrappers in their names.

    Raises CheckpointError.
    """
    entries = _entries_of(path)
    largest = max(entries, key=lambda entry: len(entries[entry]))
    return dict(readings(entries[largest], ())[-1].state)


def load_state(network: PreparedNetwork, state: Mapping[str, Tensor], source: PathLike) -> None:
    """Copy the tensors into the network; auxiliary heads stay unchanged if the file has none of them.

    Raises CheckpointError with the keys that do not fit.
    """
    own = _own_tensors(network)
    given = {key: value for key, value in state.items() if not is_counter(key)}
    missing, surplus = _missing(network, own, given), sorted(set(given) - set(own))
    if missing or surplus:
        raise CheckpointError(
            f"{source} does not fit {network.name}",
            got=_summary("unknown", surplus),
            expected=_summary("missing", missing),
            hint="pass the network and the --option that it was trained for",
        )
    for key, value in given.items():
        if own[key].shape != value.shape:
            raise CheckpointError(
                f"{source} does not fit {network.name} with {len(network.classes)} classes: {key}",
                got=tuple(value.shape),
                expected=tuple(own[key].shape),
                hint="pass --classes with the number it was trained for (NAME+void has one more), or another --option",
            )
    for key, value in given.items():
        if value.is_complex() or own[key].is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{source} holds another data type: {key}", got=value.dtype, expected=own[key].dtype)
    converted = {key: value.to(own[key].dtype) for key, value in given.items()}
    if wild := [key for key, value in converted.items() if not bool(torch.isfinite(value).all())]:
        raise CheckpointError(f"{source} holds values that are not finite float32", got=", ".join(wild[:3]))
    try:
        lacking = network.module.named_weights.load_state_dict(converted, strict=False)
    except Exception as error:  # a user's network may load them in any way
        raise CheckpointError(f"{network.name} does not take the weights of {source}: {first_line(error)}") from error
    if lacking is not None and (left := {*lacking.unexpected_keys, *lacking.missing_keys} & set(converted)):
        raise CheckpointError(f"{network.name} does not use all weights of {source}", got=", ".join(sorted(left)[:3]))


def _own_tensors(network: PreparedNetwork) -> dict[str, Tensor]:
    state = network.module.named_weights.state_dict()
    return {key: value for key, value in state.items() if not is_counter(key)}


def _missing(network: PreparedNetwork, own: Collection[str], given: Collection[str]) -> list[str]:
    """Return the keys that a file lacks; auxiliary heads may be missing together."""
    auxiliary = {key for key in own if _is_auxiliary(key, network)}
    needed = set(own) if auxiliary & set(given) else set(own) - auxiliary
    return sorted(needed - set(given))


def _entries_of(path: PathLike) -> dict[str, dict[str, Tensor]]:
    loaded = read_weight_file(path)
    entries = entries_of(loaded)
    if not entries:
        got = f"{type(loaded).__name__} with {', '.join(list(loaded)[:5]) or 'nothing'}"
        raise CheckpointError(f"{path} is not a state_dict", got=got, expected="names to tensors")
    return entries


def _readings_of(path: PathLike, own: Mapping[str, Tensor], entry: str | None) -> list[Reading]:
    entries = _entries_of(path)
    chosen_by_user = entry is not None
    found = [
        reading
        for place, tensors in entries.items()
        for reading in readings(tensors, own, place, any_prefix=chosen_by_user)
    ]
    if entry is None:
        return found
    chosen = [reading for reading in found if reading.name == entry]
    chosen = chosen or [reading for reading in found if reading.entry == entry or reading.prefix.rstrip(".") == entry]
    if not chosen:
        known = ", ".join(dict.fromkeys(reading.name for reading in found if reading.name)) or "none"
        raise CheckpointError(f"{path} has no entry of that name with tensors", got=repr(entry), expected=known)
    return chosen


def _fitting(
    network: PreparedNetwork, own: Mapping[str, Tensor], found: list[Reading], path: PathLike
) -> tuple[Reading, dict[str, Tensor], KeyReport]:
    """Return the only reading with all that the network needs, under its names; else the one with most of it."""
    fitting: list[tuple[Reading, dict[str, Tensor], KeyReport]] = []
    nearest: list[tuple[int, Reading, dict[str, Tensor], KeyReport]] = []
    for reading in found:
        try:
            state, report = our_tensors(network.spec, own, reading.state)
        except CheckpointError:  # the authors' names, but not of this network
            state, report = dict(reading.state), KeyReport(tuple(reading.state), {}, ())
        others = sum(own[key].shape != state[key].shape for key in own if key in state)
        if not others and not _missing(network, own, state):
            fitting.append((reading, state, report))
        surplus = len(set(state) - set(own))
        nearest.append((2 * len(_missing(network, own, state)) + others + surplus, reading, state, report))
    different = [fitting[0]] if fitting else []
    different += [one for one in fitting[1:] if not any(_are_the_same(one[1], other[1], own) for other in different)]
    if len(different) > 1:
        raise CheckpointError(
            f"{path} has several sets of weights that fit {network.name}",
            got=", ".join(reading.name or "the top of the file" for reading, _, _ in different),
            expected="one",
            hint=f"pass --entry {different[-1][0].name} to rtseg export or import-checkpoint",
        )
    return different[0] if different else min(nearest, key=lambda one: one[0])[1:]


def _are_the_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Collection[str]) -> bool:
    """Return whether both have equal values for every name in names that either has."""
    shared = [name for name in names if name in one or name in other]
    return all(
        name in one and name in other and (one[name] is other[name] or torch.equal(one[name], other[name]))
        for name in shared
    )


def _is_auxiliary(key: str, network: PreparedNetwork) -> bool:
    name = network.module.auxiliary_heads
    return bool(name) and key.startswith(f"{name}.")


def _tensors(artifact: Artifact) -> dict[str, Tensor]:
    try:
        return load_tensors(artifact.content())
    except SafetensorError as error:
        what = f"{artifact.path} is not a whole safetensors file: {error}"
        raise CheckpointError(what, hint="get a fresh copy") from error


def _summary(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} keys" + (f" ({keys[0]}, ...)" if keys else "")
