"""Exports kept in the user's cache folder, found again by what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import rtseg.bilinear
import rtseg.export
import rtseg.networks
from rtseg import __version__
from rtseg.artifacts import cache_folder, read_manifest
from rtseg.errors import ManifestError
from rtseg.export.onnx_file import default_name, export_onnx
from rtseg.networks.prepared import PreparedNetwork
from rtseg.specs import Resolution

Pixels = NDArray[np.uint8]


def cached_export(
    network: PreparedNetwork, resolution: Resolution, interface: str, *, images: Sequence[Pixels] = ()
) -> Path:
    """Return the file of that export, made now unless an intact one is in the cache.

    The folder's name is a digest of the weights, the code that defines network and export, and the
    versions of the exporter, so that a change of any of them makes a new file.
    """
    folder = cache_folder() / "exports" / _digest(network)
    path = folder / default_name(network, resolution, interface)
    with contextlib.suppress(ManifestError):
        read_manifest(path, kind="onnx")
        return path
    export_onnx(network, resolution, path, interface=interface, images=images)
    return path


def _digest(network: PreparedNetwork) -> str:
    digest = hashlib.sha256()
    facts = [__version__, torch.__version__, network.name, dict(network.options), network.weights]
    facts += [network.output_spec("logits").to_json(), network.image_spec(Resolution(512, 512)).to_json()]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for key, value in sorted(network.module.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    for source in _sources(network):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _sources(network: PreparedNetwork) -> list[Path]:
    packages = [Path(package.__path__[0]) for package in (rtseg.networks, rtseg.export)]
    files = [file for folder in packages for file in sorted(folder.rglob("*.py"))]
    files.append(Path(rtseg.bilinear.__file__))
    for module in network.module.modules():
        with contextlib.suppress(TypeError, OSError):
            file = Path(inspect.getfile(type(module)))
            if "site-packages" not in file.parts and file not in files:
                files.append(file)
    return files
