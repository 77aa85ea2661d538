"""Keep exports in the user's cache folder; the key is everything that an export is made from.

That is the weights, the contracts, and the code: every rtseg module that the export imports, directly or indirectly,
and for a user's own network the files of its classes. A change of any of them gives a new file.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import rtseg
from rtseg.artifacts.cache import Cache
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import is_intact, tool_versions
from rtseg.exporting import onnx_file
from rtseg.exporting.network_form import CPU_TARGET, written_for
from rtseg.networks.prepared import PreparedNetwork
from rtseg.specs import Resolution

Pixels = NDArray[np.uint8]

EXPORTS = Cache("exports", ".onnx", keep=256)
"""Enough that no benchmark loses a file that it exported and has not loaded yet."""

_PACKAGE = Path(rtseg.__file__).parent
_DECIDES_NOTHING = ("__init__.py", "errors.py", "artifacts")
"""Modules of rtseg that do not affect an export: the public interface, the exceptions, and file writing."""

_TOOLS = ("rtseg", "torch", "onnx")


def cached_export(
    network: PreparedNetwork,
    resolution: Resolution,
    interface: str,
    *,
    target: str = CPU_TARGET,
    images: Sequence[Pixels] = (),
) -> Path:
    """Return the file of that export; export now unless the cache has it intact. Raises what export_onnx raises."""
    path = _path(network, resolution, interface, target)
    if not is_intact(path):
        with EXPORTS.locked(path):
            if not is_intact(path):  # and no other process has made it meanwhile
                onnx_file.export_onnx(network, resolution, path, interface=interface, target=target, images=images)
    EXPORTS.used(path)
    return path


def _path(network: PreparedNetwork, resolution: Resolution, interface: str, target: str) -> Path:
    weights = hashlib.sha256()
    for key, value in sorted(network.module.state_dict().items()):
        weights.update(key.encode())
        weights.update(value.cpu().contiguous().numpy().tobytes())
    decides = {
        "tools": {name: version for name, version in tool_versions().items() if name in _TOOLS},
        "torch": torch.__version__,  # it identifies a build more exactly than the package's version
        "network": [network.name, dict(network.options), network.weights, network.parent_sha256, network.head],
        "image": network.image_spec(resolution).to_json(),
        "output": network.output_spec(interface).to_json(),
        "target": written_for(network.module, target),
        "weights": weights.hexdigest(),
        "code": [code_of("exporting/onnx_file.py"), digest_of(_files_of_classes(network))],
    }
    return EXPORTS.path(decides, label=Path(onnx_file.default_name(network, resolution, interface, target)).stem)


@functools.cache
def code_of(module: str) -> str:
    """Return a digest of an rtseg module, such as "exporting/onnx_file.py", and of all its imports."""
    return digest_of(imported_files(_PACKAGE / module, _PACKAGE))


def digest_of(files: Iterable[Path]) -> str:
    """Return a digest of the content of the files, independent of their order."""
    return hashlib.sha256("".join(sorted(map(sha256_of, files))).encode()).hexdigest()


def imported_files(entry: Path, package: Path) -> set[Path]:
    """Return the modules of a package that `entry` imports, directly or indirectly, and `entry` itself.

    Modules in _DECIDES_NOTHING are left out, with everything that only they import.
    """
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        file = waiting.pop()
        if file in found or file.relative_to(package).parts[0] in _DECIDES_NOTHING:
            continue
        found.add(file)
        waiting += _imports(file, package)
    return found


def _imports(file: Path, package: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names] + [f"{node.module}"]
        for home, *inner in (name.split(".") for name in names):
            if home == package.name:
                path = package.joinpath(*inner)
                yield from (choice for choice in (path.with_suffix(".py"), path / "__init__.py") if choice.is_file())


def _files_of_classes(network: PreparedNetwork) -> set[Path]:
    """Return the files, outside rtseg and of no installed package, that define the network's modules."""
    files = set()
    for module in network.module.modules():
        with contextlib.suppress(TypeError, OSError):
            files.add(Path(inspect.getfile(type(module))))
    return {file for file in files if "site-packages" not in file.parts and _PACKAGE not in file.parents}
