"""Weights on disk: safetensors with a manifest; .pth files as a source, never with code in them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
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
from rtseg.errors import CheckpointError
from rtseg.networks.official import KeyReport, our_tensors
from rtseg.networks.prepared import PreparedNetwork, build_network, network_from_factory
from rtseg.specs import ClassSpec, Resolution

PTH_SUFFIXES = (".pth", ".pt")


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

    Without heads the auxiliary heads are left out, which the logits do not depend on.

    precision "fp16" rounds the convolution kernels and keeps what has one dimension (biases and
    batch statistics, whose small variances float16 cannot hold) in float32. Raises WriteError.
    """
    half = precision == "fp16"
    tensors = {
        key: (value.half() if half and value.is_floating_point() and value.ndim > 1 else value).cpu().contiguous()
        for key, value in network.module.state_dict().items()
        if not key.endswith("num_batches_tracked") and (heads or not _is_auxiliary(key, network))
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


def network_from_checkpoint(source: ArtifactLike, *, name: str | None = None) -> PreparedNetwork:
    """Return the network of a checkpoint written by save_checkpoint, in float32.

    Its manifest names the network and its classes; where `name` is given they have to agree. A
    user's own network has to be named: a data file does not decide which code is imported.
    Raises ManifestError and CheckpointError.
    """
    artifact = Artifact.claimed(source, kind="checkpoint")
    manifest, path = artifact.manifest, artifact.path
    if name is not None and name != manifest.network:
        raise CheckpointError(
            f"{path} holds another network", got=manifest.network, expected=name, hint=f"the name {manifest.network}"
        )
    if name is None and ":" in manifest.network:
        raise CheckpointError(
            f"{path} holds the weights of a network of your own", hint=f"--module {manifest.network}, if you trust it"
        )
    network = _empty_network(manifest)
    load_state(network, _tensors(artifact), path)
    return replace(
        network,
        normalization=manifest.image.normalization,
        weights=manifest.weights,
        parent_sha256=manifest.sha256,
    )


def network_from_pth(
    path: PathLike, name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None
) -> PreparedNetwork:
    """Return a registered network with the weights of a .pth file; see import_pth."""
    return import_pth(path, name, classes, options=options)[0]


def import_pth(
    path: PathLike, name: str, classes: ClassSpec, *, options: Mapping[str, str] | None = None
) -> tuple[PreparedNetwork, KeyReport]:
    """Return a registered network with the weights of a .pth file, and what became of each key.

    The file is read with weights_only, so code in it is never run. A "module." prefix and a wrapping
    dictionary ("model", "state_dict") are taken off; official names go through the network's key map.
    Raises CheckpointError.
    """
    network = build_network(name, classes, options=options)
    assert network.spec is not None
    state, report = our_tensors(network.spec, network.module.state_dict(), read_pth_state(path))
    load_state(network, state, path)
    weights = f"imported from {Path(path).name}"
    return replace(network, weights=weights, parent_sha256=sha256_of(path)), report


def load_state(network: PreparedNetwork, state: Mapping[str, Tensor], source: PathLike) -> None:
    """Copy the tensors into the network; auxiliary heads stay as they are where the file has none of them.

    Raises CheckpointError naming the keys that do not fit.
    """
    own = {k: v for k, v in network.module.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    auxiliary = {key for key in own if _is_auxiliary(key, network)}
    needed = set(own) if auxiliary & set(given) else set(own) - auxiliary
    missing, surplus = sorted(needed - set(given)), sorted(set(given) - set(own))
    if missing or surplus:
        raise CheckpointError(
            f"{source} does not fit {network.name}",
            got=_summary("unknown", surplus),
            expected=_summary("missing", missing),
            hint="the network, and the --option of it, that it was trained for",
        )
    for key, value in given.items():
        if own[key].shape != value.shape:
            raise CheckpointError(
                f"{source} does not fit {network.name} with {len(network.classes)} classes: {key}",
                got=tuple(value.shape),
                expected=tuple(own[key].shape),
                hint="--classes with the number it was trained for (NAME+void has one more), or another --option",
            )
    network.module.load_state_dict({k: v.float() for k, v in given.items()}, strict=False)


def _is_auxiliary(key: str, network: PreparedNetwork) -> bool:
    name = network.module.auxiliary_heads
    return bool(name) and key.startswith(f"{name}.")


def _empty_network(manifest: Manifest) -> PreparedNetwork:
    if ":" in manifest.network:
        return network_from_factory(manifest.network, manifest.output.classes)
    return build_network(manifest.network, manifest.output.classes, options=manifest.options)


def _tensors(artifact: Artifact) -> dict[str, Tensor]:
    try:
        return load_tensors(artifact.content())
    except SafetensorError as error:
        what = f"{artifact.path} is not a whole safetensors file: {error}"
        raise CheckpointError(what, hint="a fresh copy") from error


def read_pth_state(path: PathLike) -> dict[str, Tensor]:
    """Return the tensors of a .pth file by name, wrappers and prefixes taken off. Raises CheckpointError."""
    try:
        content = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    try:
        loaded = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights, or is damaged; nothing in it was run",
            expected="a state_dict of tensors",
            hint="torch.save(network.state_dict(), ...) in a program you trust",
        ) from error
    except Exception as error:  # what torch.load raises depends on the byte at which it gives up
        raise CheckpointError(
            f"{path} is not a PyTorch file, or only a part of one",
            expected="what torch.save writes",
            hint="a fresh copy",
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path} is not a state_dict", got=type(loaded).__name__, expected="names to tensors")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def _summary(kind: str, keys: list[str]) -> str:
    return f"{len(keys)} {kind} keys" + (f" ({keys[0]}, ...)" if keys else "")
