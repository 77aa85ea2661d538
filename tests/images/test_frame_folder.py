"""A folder of frames takes the place of an earlier one as a whole, and of nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rtseg.errors import WriteError
from rtseg.images.frame_folder import frame_name, frames_written_to


def write_frames(path: Path, count: int) -> None:
    with frames_written_to(path) as folder:
        for index in range(count):
            (folder / frame_name(index)).write_bytes(b"frame")


def test_no_frame_of_an_earlier_longer_video_stays(tmp_path: Path) -> None:
    write_frames(tmp_path / "x_labels", 5)
    (tmp_path / "x_labels" / ".DS_Store").write_bytes(b"")
    write_frames(tmp_path / "x_labels", 2)
    assert os.listdir(tmp_path) == ["x_labels"]
    assert sorted(os.listdir(tmp_path / "x_labels")) == ["000000.png", "000001.png"]


def test_frames_beyond_a_million_are_replaced_too(tmp_path: Path) -> None:
    (tmp_path / "x_labels").mkdir()
    (tmp_path / "x_labels" / frame_name(1_000_000)).write_bytes(b"")
    write_frames(tmp_path / "x_labels", 1)
    assert os.listdir(tmp_path / "x_labels") == ["000000.png"]


def test_after_an_error_the_earlier_frames_are_there_and_nothing_else(tmp_path: Path) -> None:
    write_frames(tmp_path / "x_labels", 3)
    with pytest.raises(KeyboardInterrupt), frames_written_to(tmp_path / "x_labels") as folder:
        (folder / frame_name(0)).write_bytes(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["x_labels"]
    assert len(os.listdir(tmp_path / "x_labels")) == 3


def link_to_a_folder(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to("elsewhere")


def folder_with(name: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.mkdir()
        (path / name).write_text("precious")

    return make


def folder_of_folders(path: Path) -> None:
    (path / "000000.png").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (link_to_a_folder, "x_labels is a link"),
        (lambda path: path.symlink_to("nowhere"), "x_labels is a link"),
        (lambda path: path.write_text("precious"), "x_labels is not a folder"),
        (folder_with("notes.txt"), "x_labels holds notes.txt, which is not a frame"),
        (folder_with("1.png"), "x_labels holds 1.png, which is not a frame"),
        (folder_of_folders, "x_labels holds 000000.png, which is not a frame"),
    ],
)
def test_what_is_no_folder_of_frames_stays_as_it_is(make: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    make(tmp_path / "x_labels")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WriteError, match=f"cannot write .*{told}"):
        write_frames(tmp_path / "x_labels", 1)
    assert sorted(tmp_path.rglob("*")) == before
