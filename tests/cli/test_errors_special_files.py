"""What is no regular file is never replaced, by any command: devices, named pipes, sockets, folders, links to them."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rtseg.artifacts.files import written_atomically
from rtseg.artifacts.manifest import manifest_path
from tests.staged_network import Staged

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these files")

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]
Make = Callable[[Path], object]


def named_pipe(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.getcwd()
        os.chdir(path.parent)  # a socket's name may have some hundred letters at most
        try:
            made.bind(path.name)
        finally:
            os.chdir(folder)


def device(path: Path) -> None:
    """Make a node of our own that swallows what is written to it."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make a device")


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_named_pipe(path: Path) -> None:
    named_pipe(path.with_name("pipe"))
    path.symlink_to("pipe")


def link_to_a_device(path: Path) -> None:
    device(path.with_name("node"))
    path.symlink_to("node")


def link_of_the_system(path: Path) -> None:
    path.symlink_to("/proc/self/fd/1")


KINDS: dict[Make, str] = {
    named_pipe: "is a named pipe",
    listening_socket: "is a socket",
    device: "is a device",
    folder: "is a folder",
    link_to_a_named_pipe: "is a link to a named pipe",
    link_to_a_device: "is a link to a device",
    link_of_the_system: "is a link into /proc, as /dev/stdout is",
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_what_is_no_regular_file_stays_as_it_is(make: Make, refused: Refused, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.onnx"
    make(target)
    before, names = os.lstat(target), sorted(os.listdir(tmp_path))
    export = ("export", "--checkpoint", weights, "--resolution", "64x64", "--images", "0", "-o", target)
    assert refused(*export).startswith(f"cannot write {target}: {target} {KINDS[make]}")
    after = os.lstat(target)
    assert (after.st_mode, after.st_ino, after.st_rdev) == (before.st_mode, before.st_ino, before.st_rdev)
    assert sorted(os.listdir(tmp_path)) == names


WRITTEN = {
    "build": "x.engine",
    "build with its graph": "x.onnx",
    "calibrate": "x.json",
    "calibrate with its set": "set.json",
    "export": "x.onnx",
    "export, its manifest": "x.onnx.json",
    "import-checkpoint": "x.safetensors",
    "import-checkpoint, its manifest": "x.safetensors.json",
    "import-onnx": "x.onnx",
    "import-onnx, its manifest": "x.onnx.json",
    "quantize to fp16": "x.onnx",
    "quantize to int8": "x.onnx",
    "quantize, its manifest": "x.onnx.json",
    "run": "picture_labels.png",
    "run, its overlay": "picture_overlay.png",
    "run, its summary": "summary.json",
    "scenes": "val/val_0000.png",
    "scenes, its labels": "valannot/val_0000.png",
    "sensitivity": "x.json",
    "sensitivity with a plot": "x.png",
    "train": "x.safetensors",
    "train, its manifest": "x.safetensors.json",
    "train, its state": "x.safetensors.state",
}
"""What commands write, each somewhere below a folder."""


@pytest.mark.parametrize("name", WRITTEN)
def test_no_command_replaces_a_named_pipe(
    name: str,
    weights: Path,
    exported: Path,
    export_copy: Path,
    staged: Staged,
    picture: Path,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    published, out = tmp_path / "affnet.pth", tmp_path / "out"
    torch.save(safetensors.torch.load_file(weights), published)
    manifest_path(export_copy).unlink()
    pipe = out / WRITTEN[name]
    pipe.parent.mkdir(parents=True)
    named_pipe(pipe)
    analysis = ("sensitivity", staged.onnx, "--table", staged.table, "--data", staged.data, "--limit", "1")
    counted = ("calibrate", staged.onnx, "--data", staged.unlabelled, "--images", "3")
    settings = ("--epochs", "1", "--crop", "64x64", "--batch-size", "2", "--device", "cpu")
    quantized = ("quantize", staged.onnx, "--to")
    commands: dict[str, tuple[object, ...]] = {
        "build": ("build", exported, "-o", out / "x.engine"),
        "build with its graph": ("build", exported, "-o", out / "x.engine", "--keep-graph", pipe),
        "calibrate": (*counted, "-o", pipe),
        "calibrate with its set": (*counted, "-o", out / "x.json", "--save-set", pipe),
        "export": ("export", "--checkpoint", weights, "--resolution", "64x64", "-o", out / "x.onnx"),
        "import-checkpoint": (
            *("import-checkpoint", "affnet", published, "--classes", "camvid", "-o"),
            out / "x.safetensors",
        ),
        "import-onnx": ("import-onnx", export_copy, "-o", out / "x.onnx"),
        "quantize": (*quantized, "fp16", "-o", out / "x.onnx"),
        "quantize to fp16": (*quantized, "fp16", "-o", out / "x.onnx"),
        "quantize to int8": (*quantized, "int8", "--table", staged.table, "-o", out / "x.onnx"),
        "run": ("run", exported, picture, "-o", out),
        "scenes": ("scenes", out, "--resolution", "64x64", "--count", "1"),
        "sensitivity": (*analysis, "--blocks", "1", "-o", pipe),
        "sensitivity with a plot": (*analysis, "--blocks", "1", "--plot", pipe),
        "train": ("train", "affnet", "--data", "streets:64x64", *settings, "-o", out / "x.safetensors"),
    }
    told = refused(*commands.get(name) or commands[name.partition(",")[0]])
    if name in ("run", "run, its overlay"):  # a failure of that input alone
        told = told.partition("picture.png: ")[2]
    assert told.startswith(f"cannot write {pipe}: {pipe} is a named pipe") or (
        name.startswith("train") and told.startswith(f"{pipe} ")  # it is there already, or what a run left
    )
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)
    assert not [path for path in out.rglob(".*")], "nothing is left of the attempt"


def test_a_link_to_a_file_is_replaced_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "loose").symlink_to("nowhere")
    for name in ("link", "loose"):
        with written_atomically(tmp_path / name) as part:
            part.write_text("new")
        assert not (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == "new"
    assert (tmp_path / "kept").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["kept", "link", "loose"]


@pytest.fixture
def private_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("private_umask")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_replaced_hands_on_its_mode_and_is_never_more_open(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    target.chmod(mode)
    with written_atomically(target) as part:
        assert stat.S_IMODE(os.stat(part).st_mode) == 0o600
        part.write_text("new")
    assert stat.S_IMODE(os.stat(target).st_mode) == mode
    with written_atomically(tmp_path / "y") as part:
        part.write_text("new")
    assert stat.S_IMODE(os.stat(tmp_path / "y").st_mode) == 0o644
