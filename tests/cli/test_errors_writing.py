"""Places that cannot be written, and disks that run full: nothing half-written stays behind."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from rtseg.artifacts.manifest import manifest_path
from rtseg.errors import WriteError
from tests.cli.forked_commands import files_of_at_most, forked, full_from, standard_output_to
from tests.conftest import Outcome, error_of
from tests.emulated_gpu.graphs import write_graph
from tests.staged_network import Staged

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]
Disk = Callable[[int], AbstractContextManager[Path]]
OnAFullDisk = Callable[..., Outcome]


@pytest.fixture
def export(weights: Path) -> tuple[object, ...]:
    """The quickest export there is, all but its target."""
    return ("export", "--checkpoint", weights, "--resolution", "64x64", "--images", "0")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Give a folder that is a disk of so many bytes."""

    @contextlib.contextmanager
    def mounted(size_bytes: int) -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = shutil.which("mount")
        options = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
        if os.geteuid() != 0 or not mount or subprocess.run([mount, *options], capture_output=True).returncode:
            pytest.skip("a small disk can only be mounted by root")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    return mounted


@pytest.fixture
def on_a_disk_full_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnAFullDisk:
    """Run a command that can write not a byte more from when it opens a file to write that path. No disk is needed."""
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))

    def ran(target: Path, *arguments: object) -> Outcome:
        ends = map(re.escape, (f"{target.parent}{os.sep}", target.stem, target.suffix))
        part = "[^/]*".join(ends) + "$"  # the file has another name until it is whole
        return forked(*arguments, first=partial(full_from, part))

    return ran


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file of one convolution; not to be changed."""
    return write_graph(tmp_path_factory.mktemp("small") / "small.onnx")


def camvid_folder(root: Path) -> Path:
    """Write two pictures of each split in CamVid's layout."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a.png", "b.png"):
            (root / split).mkdir(parents=True, exist_ok=True)
            (root / f"{split}annot").mkdir(exist_ok=True)
            cv2.imwrite(str(root / split / name), random.integers(0, 256, (64, 64, 3), np.uint8))
            cv2.imwrite(str(root / f"{split}annot" / name), random.integers(0, 11, (64, 64), np.uint8))
    return root


def training(root: Path, output: Path) -> tuple[object, ...]:
    """Return the command of the shortest training there is."""
    settings = ("--epochs", "1", "--crop", "64x64", "--batch-size", "2", "--device", "cpu")
    return ("train", "affnet", "--data", f"camvid:{camvid_folder(root)}", *settings, "-o", output)


# Places


@pytest.mark.parametrize("target", [".", "..", "/", "folder", ""])
def test_a_folder_is_no_place_for_an_export(
    export: tuple[object, ...],
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files_in: Listing,
    target: str,
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    assert refused(*export, "-o", target if target != "folder" else tmp_path / "folder").endswith(
        "is a folder. Try: choose another folder, or free some space"
    )
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "below"), [("export", "x"), ("export", "sub/x"), ("run", "x"), ("scenes", "x"), ("train", "x")]
)
def test_a_file_in_the_way_of_a_folder_is_said(
    export: tuple[object, ...],
    refused: Refused,
    exported: Path,
    picture: Path,
    tmp_path: Path,
    files_in: Listing,
    command: str,
    below: str,
) -> None:
    (tmp_path / "way").write_text("in the way")
    target = tmp_path / "way" / below
    commands = {
        "export": (*export, "-o", target),
        "run": ("run", exported, picture, "-o", target),
        "scenes": ("scenes", target, "--resolution", "64x64", "--count", "1"),
        "train": training(tmp_path / "camvid", target),
    }
    assert refused(*commands[command]).startswith(f"cannot write {target}")
    assert {name for name in files_in(tmp_path) if not name.startswith("camvid")} == {"picture.png", "way"}


def test_a_name_that_is_too_long_is_said(
    export: tuple[object, ...], refused: Refused, tmp_path: Path, files_in: Listing
) -> None:
    assert "File name too long" in refused(*export, "-o", tmp_path / ("x" * 300))
    assert files_in(tmp_path) == []


def test_a_folder_where_the_manifest_belongs_is_said_before_the_file_is_written(
    export: tuple[object, ...], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "x.onnx.json").mkdir()
    assert "x.onnx.json is a folder" in refused(*export, "-o", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


# Full disks


WRITING = {
    "calibrate": "x.json",
    "export": "x.onnx",
    "import-checkpoint": "x.safetensors",
    "import-onnx": "x.onnx",
    "quantize to fp16": "x.onnx",
    "quantize to int8": "x.onnx",
    "run": "picture_labels.png",
    "scenes": "val/val_0000.png",
    "sensitivity": "x.json",
    "sensitivity with a plot": "x.png",
    "train": "x.safetensors.state",
}
"""What each command writes first."""


@pytest.mark.parametrize("name", WRITING)
def test_what_the_disk_cannot_hold_is_said_and_leaves_nothing(
    name: str,
    export: tuple[object, ...],
    weights: Path,
    exported: Path,
    export_copy: Path,
    staged: Staged,
    picture: Path,
    on_a_disk_full_from: OnAFullDisk,
    tmp_path: Path,
    files_in: Listing,
) -> None:
    command, folder = name.split()[0], tmp_path / "out"
    target = folder / WRITING[name]
    published = tmp_path / "affnet.pth"
    torch.save(safetensors.torch.load_file(weights), published)
    manifest_path(export_copy).unlink()
    analysis = ("sensitivity", staged.onnx, "--table", staged.table, "--data", staged.data, "--limit", "1")
    commands: dict[str, tuple[object, ...]] = {
        "calibrate": ("calibrate", staged.onnx, "--data", staged.unlabelled, "--images", "3", "-o", target),
        "export": (*export, "-o", target),
        "import-checkpoint": ("import-checkpoint", "affnet", published, "--classes", "camvid", "-o", target),
        "import-onnx": ("import-onnx", export_copy, "-o", target),
        "quantize to fp16": ("quantize", staged.onnx, "--to", "fp16", "-o", target),
        "quantize to int8": ("quantize", staged.onnx, "--table", staged.table, "--to", "int8", "-o", target),
        "run": ("run", exported, picture, "-o", folder),
        "scenes": ("scenes", folder, "--resolution", "64x64", "--count", "1"),
        "sensitivity": (*analysis, "--blocks", "1", "-o", target),
        "sensitivity with a plot": (*analysis, "--blocks", "1", "--plot", target),
        "train": training(tmp_path / "camvid", folder / "x.safetensors"),
    }
    assert commands[name][0] == command
    message = error_of(on_a_disk_full_from(target, *commands[name]))
    assert message == f"cannot write {target}: File too large. Try: choose another folder, or free some space"
    assert files_in(folder) == []


def test_an_engine_that_the_disk_cannot_hold_is_said_and_leaves_nothing(
    small: Path, on_a_disk_full_from: OnAFullDisk, tmp_path: Path, files_in: Listing
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")
    target = tmp_path / "out" / "x.engine"
    outcome = on_a_disk_full_from(target, "build", small, "--runtime", "tensorrt-rtx", "-o", target)
    assert outcome.code == 1 and "Traceback" not in outcome.err
    message = outcome.err.splitlines()[-1]
    told = f"cannot write {target}: File too large. Try: choose another folder, or free some space"
    assert message == f"rtseg: error: {told} (see {WriteError(told).page})"
    assert files_in(target.parent) == []


def test_an_export_on_a_full_disk_leaves_nothing(export: tuple[object, ...], disk: Disk, files_in: Listing) -> None:
    with disk(1 << 20) as folder:
        assert error_of(forked(*export, "-o", folder / "x.onnx")).startswith(
            f"cannot write {folder / 'x.onnx'}: No space left on device"
        )
        assert files_in(folder) == []


def test_a_file_whose_manifest_cannot_be_written_is_not_kept(
    export: tuple[object, ...],
    on_a_disk_full_from: OnAFullDisk,
    tmp_path: Path,
    files_in: Listing,
) -> None:
    target = tmp_path / "out" / "x.onnx"
    assert "File too large" in error_of(on_a_disk_full_from(manifest_path(target), *export, "-o", target))
    assert files_in(target.parent) == []


def test_a_disk_that_holds_the_file_but_not_its_manifest_keeps_neither(
    export: tuple[object, ...],
    cli: Callable[..., Any],
    disk: Disk,
    tmp_path: Path,
    files_in: Listing,
) -> None:
    assert cli(*export, "-o", tmp_path / "x.onnx").code == 0
    pages = -(-(tmp_path / "x.onnx").stat().st_size // resource.getpagesize())
    with disk(pages * resource.getpagesize()) as folder:
        assert "No space left on device" in error_of(forked(*export, "-o", folder / "x.onnx"))
        assert files_in(folder) == []


def test_an_export_over_an_old_one_keeps_the_old_one_when_the_disk_is_full(
    export: tuple[object, ...], export_copy: Path, exported: Path, files_in: Listing
) -> None:
    before = files_in(export_copy.parent)
    outcome = forked(*export, "-o", export_copy, first=partial(files_of_at_most, 100_000))
    assert "File too large" in error_of(outcome)
    assert files_in(export_copy.parent) == before
    assert export_copy.read_bytes() == exported.read_bytes()


def test_a_training_whose_checkpoint_cannot_be_written_keeps_the_state_to_resume_from(
    on_a_disk_full_from: OnAFullDisk, tmp_path: Path, files_in: Listing
) -> None:
    target = tmp_path / "out" / "x.safetensors"
    outcome = on_a_disk_full_from(target, *training(tmp_path / "camvid", target))
    assert outcome.code == 1 and "Traceback" not in outcome.err
    epoch, message = outcome.err.splitlines()
    assert epoch.startswith("epoch")
    assert message.startswith(f"rtseg: error: cannot write {target}: File too large")
    assert files_in(target.parent) == ["x.safetensors.state"]


def test_a_training_whose_checkpoint_does_not_fit_keeps_the_state_to_resume_from(
    disk: Disk, tmp_path: Path, files_in: Listing
) -> None:
    with disk(30 << 20) as folder:  # the state is 26 MB, the checkpoint 6.5
        outcome = forked(*training(tmp_path / "camvid", folder / "x.safetensors"))
        assert outcome.code == 1 and "Traceback" not in outcome.err
        epoch, message = outcome.err.splitlines()
        assert epoch.startswith("epoch")
        assert message.startswith(f"rtseg: error: cannot write {folder / 'x.safetensors'}: No space left on device")
        assert files_in(folder) == ["x.safetensors.state"]


def test_a_video_that_the_disk_cannot_hold_leaves_no_video(exported: Path, tmp_path: Path, files_in: Listing) -> None:
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (96, 64))
    for seed in range(12):
        writer.write(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8))
    writer.release()
    command = ("run", exported, clip, "-o", tmp_path / "out")
    message = error_of(forked(*command, first=partial(files_of_at_most, 8_000)))
    assert message.startswith(f"cannot write {tmp_path / 'out' / 'clip_overlay.mp4'}")
    assert not [name for name in files_in(tmp_path / "out") if "overlay" in name or "part" in name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", [("--help",), ("networks", "affnet")], ids=" ".join)
def test_a_full_disk_behind_standard_output_is_said(command: tuple[str, ...]) -> None:
    outcome = forked(*command, first=partial(standard_output_to, "/dev/full"))
    assert outcome.code == 1
    assert outcome.err == (
        "rtseg: error: cannot write standard output: No space left on device. Try: free some space\n"
    )
