"""Read other programs' weight files as plain names and tensors. No code in them is ever run.

PyTorch's own files are read with weights_only. Any other object that a pickle names (NumPy scalars, a namespace of
arguments, a whole module) becomes an inert stand-in, never the object itself: NumPy's own dtype crashes the process on
a crafted state.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from _compat_pickle import IMPORT_MAPPING  # Python 2 names, which pickles still use
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from rtseg.artifacts.files import PathLike, read_bytes
from rtseg.errors import CheckpointError

_ONLY_WEIGHTS = "call torch.save(network.state_dict(), ...) in a program you trust"
_PROGRAM_NAMES = (
    "builtins os posix nt io sys subprocess commands shutil socket importlib runpy ctypes pty pickle marshal code "
    "codeop webbrowser multiprocessing threading asyncio urllib http ftplib smtplib tempfile signal atexit gc inspect"
)
_PROGRAMS = frozenset(_PROGRAM_NAMES.split())
"""Python modules whose functions are not data and do not belong beside weights."""

_PLAIN = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, slice, object, getattr)
_DATA_TYPES = frozenset(f"builtins.{kind.__name__}" for kind in _PLAIN)

_MAPPINGS = ("dict", "Dict", "CfgNode", "DictConfig", "Munch", "Box")
_LISTS = ("deque", "List", "ListConfig")

_MOST_MODULES = 100_000
_ZIP = b"PK\x03\x04"

_NUMPY_NAMES = tuple(
    f"numpy.{name}"
    for name in (
        "dtype",
        "ndarray",
        *(f"{core}.multiarray.{part}" for core in ("core", "_core") for part in ("scalar", "_reconstruct")),
        *(f"dtypes.{kind}DType" for kind in ("Bool", "Int32", "Int64", "Float16", "Float32", "Float64", "Str")),
    )
)
"""Objects beside weights in files from before 2020, whose names PyTorch cannot list."""


def read_weight_file(path: PathLike) -> Mapping[str, object]:
    """Return the content of a weight file: names to tensors, at the top or in nested mappings.

    The file is safetensors, or from torch.save, with any suffix. For a whole saved module the result has the names and
    tensors of its state_dict. Other content is kept as far as it is plain data. Raises CheckpointError.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if _is_safetensors(content):
        return _safetensors(content, path)
    loaded = _plain(_unpickled(content, path))
    if not isinstance(loaded, Mapping):
        raise CheckpointError(
            f"{path} is not a state_dict",
            got=type(loaded).__name__,
            expected="names to tensors",
            hint=_ONLY_WEIGHTS,
        )
    return {str(key): _plain(value) for key, value in loaded.items()}


class StandIn:
    """Replaces an object that is neither a tensor nor plain data: it keeps the state and does nothing."""

    pickled = ""
    state: object

    def __new__(cls, *given: object) -> StandIn:
        """Return a stand-in for any arguments."""
        made = super().__new__(cls)
        made.state = None
        return made

    def __init__(self, *given: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state

    def part(self, kind: str) -> Mapping[object, object]:
        """Return one of a module's mappings: "_parameters", "_buffers" or "_modules"."""
        found = self.state.get(kind) if isinstance(self.state, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def _plain(value: object) -> object:
    """Return a module's stand-in as the module's state_dict, anything else unchanged."""
    return _tensors_of_module(value) if isinstance(value, StandIn) else value


def _tensors_of_module(module: StandIn) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    waiting, seen = [("", module)], 0
    while waiting:
        prefix, here = waiting.pop()
        seen += 1
        if seen > _MOST_MODULES:
            raise CheckpointError("a module saved whole has too many parts", expected=f"at most {_MOST_MODULES}")
        transient = here.state.get("_non_persistent_buffers_set") if isinstance(here.state, Mapping) else None
        for kind in ("_parameters", "_buffers"):
            for name, value in here.part(kind).items():
                if isinstance(value, Tensor) and not (isinstance(transient, set) and name in transient):
                    found[f"{prefix}{name}"] = value
        for name, inner in here.part("_modules").items():
            if isinstance(inner, StandIn):
                waiting.append((f"{prefix}{name}.", inner))
    return found


def _is_safetensors(content: bytes) -> bool:
    """Return whether the content begins like a safetensors file: a header length, then the header's brace."""
    return 8 < int.from_bytes(content[:8], "little") + 8 <= len(content) and content[8:9] == b"{"


def _safetensors(content: bytes, path: PathLike) -> Mapping[str, object]:
    try:
        return dict(load_safetensors(content))
    except SafetensorError as error:
        what = f"{path} is not a whole safetensors file: {error}"
        raise CheckpointError(what, hint="get a fresh copy") from error


def _unpickled(content: bytes, path: PathLike) -> Any:
    stream = io.BytesIO(content)
    try:
        if content.startswith(_ZIP):
            _require_stored(content, path)
            names = torch.serialization.get_unsafe_globals_in_checkpoint(stream)
        else:
            names = list(_NUMPY_NAMES)
        _require_data(names, path)
        stand_ins = [(_stand_in(name), name) for name in names]
        stream.seek(0)
        with torch.serialization.safe_globals(stand_ins):  # type: ignore[arg-type]  # pairs with a name work too
            return torch.load(stream, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights, or is damaged; nothing in it was run",
            expected="a state_dict of tensors",
            hint=_ONLY_WEIGHTS,
        ) from error
    except Exception as error:  # the exception of torch.load depends on the byte at which it gives up
        raise CheckpointError(
            f"{path} is not a PyTorch file, or only a part of one",
            expected="what torch.save or safetensors writes",
            hint="get a fresh copy",
        ) from error


def _require_stored(content: bytes, path: PathLike) -> None:
    """Raise CheckpointError for an archive that is not a checkpoint, or that would expand beyond the file's size."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError(f"{path} is a TorchScript archive: a program, not weights", hint=_ONLY_WEIGHTS)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path} is a compressed archive", expected="what torch.save writes", hint=_ONLY_WEIGHTS)
    if (claimed := sum(entry.file_size for entry in entries)) > len(content):
        raise CheckpointError(
            f"{path} claims more than it holds", got=f"{claimed} bytes", expected=f"at most {len(content)}"
        )


def _require_data(names: list[str], path: PathLike) -> None:
    """Raise CheckpointError if a pickle names a Python object that is not data, such as eval."""
    modules = {name: IMPORT_MAPPING.get(root := name.partition(".")[0].lstrip("_"), root) for name in names}
    if programs := sorted(name for name in names if modules[name] in _PROGRAMS and name not in _DATA_TYPES):
        raise CheckpointError(
            f"{path} holds more than weights; nothing in it was run",
            got=", ".join(programs),
            expected="a state_dict of tensors",
            hint=_ONLY_WEIGHTS,
        )


def _stand_in(name: str) -> type:
    """Return the stand-in for a name: PyTorch fills only dictionaries and lists of its own kinds."""
    if name.endswith(_MAPPINGS):
        return type("DictStandIn", (), {"__new__": lambda cls, *given: OrderedDict()})
    if name.endswith(_LISTS):
        return type("ListStandIn", (), {"__new__": lambda cls, *given: []})
    return type("StandIn", (StandIn,), {"pickled": name})
