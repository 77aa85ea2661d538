"""Files of weights: what is read out of them, and what is never run or unpacked."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rtseg.errors import CheckpointError
from rtseg.networks.weight_files import read_weight_file

WEIGHT = torch.arange(6.0).reshape(2, 3)


class ConfigDict(dict):
    """A mapping of the user's own."""


class Block(nn.Module):
    """A module with a parameter, a buffer, one that no state_dict has, and another module inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.BatchNorm2d(2)
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("grid", torch.zeros(3))
        self.register_buffer("cache", torch.zeros(3), persistent=False)


BESIDE = {
    "a float of NumPy": np.float64(0.71),
    "an integer of NumPy": np.int64(3),
    "a boolean of NumPy": np.bool_(True),
    "an array of NumPy": np.arange(3),
    "a dtype of NumPy": np.dtype("float32"),
    "arguments": Namespace(lr=0.1, path=Path("runs")),
    "a path": Path("runs/best"),
    "an object of the user's own": Block(),
    "a mapping with a default": defaultdict(int, {"seen": 3}),
    "a mapping of the user's own": ConfigDict(lr=0.1),
    "a queue": deque([1, 2]),
    "a bound method": "text".upper,
    "a function": torch.relu,
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_what_stands_beside_the_weights_does_not_keep_them_out(beside: object, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": WEIGHT}, "beside": beside}, tmp_path / "a.pth")
    assert torch.equal(read_weight_file(tmp_path / "a.pth")["state_dict"]["weight"], WEIGHT)  # type: ignore[index]


@pytest.mark.parametrize("beside", [np.float64(0.71), np.arange(3)], ids=["scalar", "array"])
def test_values_of_numpy_do_not_keep_the_weights_out_of_the_old_format(beside: object, tmp_path: Path) -> None:
    content = {"state_dict": {"weight": WEIGHT}, "best": beside}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weight_file(tmp_path / "a.pth")["state_dict"]["weight"], WEIGHT)  # type: ignore[index]


def test_weights_in_a_mapping_of_the_users_own_are_read(tmp_path: Path) -> None:
    torch.save({"state_dict": ConfigDict(weight=WEIGHT)}, tmp_path / "a.pth")
    assert torch.equal(read_weight_file(tmp_path / "a.pth")["state_dict"]["weight"], WEIGHT)  # type: ignore[index]


def test_of_a_module_saved_whole_the_state_dict_is_read(tmp_path: Path) -> None:
    module = Block()
    torch.save(module, tmp_path / "a.pth")
    read = read_weight_file(tmp_path / "a.pth")
    assert set(read) == set(module.state_dict())
    assert all(torch.equal(read[name], value) for name, value in module.state_dict().items())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.bin"])
def test_safetensors_are_known_by_their_content(name: str, tmp_path: Path) -> None:
    save_file({"weight": WEIGHT}, tmp_path / name)
    assert torch.equal(read_weight_file(tmp_path / name)["weight"], WEIGHT)  # type: ignore[arg-type]


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "function", [eval, exec, open, __import__, subprocess.run], ids=lambda function: function.__name__
)
def test_a_function_of_python_in_a_file_is_refused_and_not_called(function: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": WEIGHT}, "beside": Runs(function, "1")}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="nothing in it was run"):
        read_weight_file(tmp_path / "a.pth")


def test_a_function_of_others_in_a_file_is_not_called(tmp_path: Path) -> None:
    torch.save({"weight": WEIGHT, "beside": Runs(np.save, str(tmp_path / "made.npy"), 1)}, tmp_path / "a.pth")
    assert torch.equal(read_weight_file(tmp_path / "a.pth")["weight"], WEIGHT)  # type: ignore[arg-type]
    assert not (tmp_path / "made.npy").exists()


class CraftedDtype:
    """A dtype of NumPy with a state that NumPy trusts: fields of a type that has none."""

    def __reduce__(self) -> Any:
        state = (3, "|", None, ("a",), {"a": (np.dtype("i4"), 1 << 40)}, 1 << 20, 1, 16)
        return np.dtype, ("V8", False, True), state


def test_a_crafted_dtype_does_not_end_the_process(tmp_path: Path) -> None:
    torch.save({"weight": WEIGHT, "best": CraftedDtype()}, tmp_path / "a.pth")
    program = "import sys; from rtseg.networks.weight_files import *; print(len(read_weight_file(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a.pth"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "2")


def rewritten(path: Path, compression: int, content: bytes | None = None) -> None:
    """Write the archive's entries anew, the first storage with that content."""
    with zipfile.ZipFile(path) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, given in entries:
            archive.writestr(name, content if content is not None and name.endswith("data/0") else given)


def test_a_storage_that_unpacks_to_more_than_the_file_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": WEIGHT}, tmp_path / "a.pth")
    rewritten(tmp_path / "a.pth", zipfile.ZIP_DEFLATED, bytes(50_000_000))
    assert (tmp_path / "a.pth").stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="is a compressed archive"):
        read_weight_file(tmp_path / "a.pth")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    begin = content.index(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    central = content[begin:end]
    storage = next(part for part in central.split(b"PK\x01\x02") if b"data/0" in part)
    more = b"".join(b"PK\x01\x02" + storage.replace(b"data/0", b"data/%d" % number) for number in range(1, 9))
    count = struct.unpack("<H", content[end + 10 : end + 12])[0] + 8
    tail = content[end : end + 8] + struct.pack("<HHI", count, count, len(central) + len(more)) + content[end + 16 :]
    (tmp_path / "a.pth").write_bytes(content[:begin] + central + more + tail)
    with pytest.raises(CheckpointError, match=r"claims more than it holds|is not a PyTorch file"):
        read_weight_file(tmp_path / "a.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_called_one(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4)), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="is a TorchScript archive"):
        read_weight_file(tmp_path / "a.pt")


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_plain_pickle_is_refused(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"weight": [1.0]}, protocol))
    with pytest.raises(CheckpointError):
        read_weight_file(tmp_path / "a.pth")


def test_a_file_cut_anywhere_is_refused_or_read_right(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"weight": WEIGHT, "best": np.float64(0.5)}, stream)
    content = stream.getvalue()
    for length in range(0, len(content), 37):
        (tmp_path / "a.pth").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_weight_file(tmp_path / "a.pth")
