from __future__ import annotations

from pathlib import Path

import pytest

from rtseg.images.folders import is_hidden, listed


def test_entries_of_the_suffixes_come_sorted_whatever_their_case_and_kind(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.txt", "png"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    (tmp_path / "e.png").symlink_to("nowhere")
    names = [path.name for path in listed(tmp_path, (".png", ".jpg"))]
    assert names == ["a.jpg", "b.PNG", "d.png", "e.png"]


@pytest.mark.parametrize("name", ["._a.png", ".a.png", "..png", ".DS_Store"])
def test_what_begins_with_a_dot_is_hidden(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert is_hidden(name)
    assert listed(tmp_path, (".png", "_Store")) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        listed(tmp_path / "none", (".png",))
