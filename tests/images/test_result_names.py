from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtseg.errors import InputError
from rtseg.images.result_names import result_names

PARTS = st.sampled_from(
    ["a", "A", "a.png", "a.jpg", "a.PNG", "b", "a-b", "\u00e9.png", "e\u0301.png", "0001.png", "-2"]
)
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: Path("/data", *parts)), max_size=8)


def named(*paths: str) -> list[str]:
    return result_names([Path(path) for path in paths])


def test_a_name_that_nobody_shares_is_the_stem() -> None:
    assert named("in/0001.png", "in/0002.jpg", "clip.mp4") == ["0001", "0002", "clip"]


def test_files_of_one_stem_keep_their_suffixes() -> None:
    assert named("in/0001.png", "in/0001.jpg", "in/2.png") == ["0001.png", "0001.jpg", "2"]


def test_files_of_one_name_keep_as_much_of_their_folders_as_tells_them_apart() -> None:
    assert named("x/left/1.png", "x/right/1.png") == ["left-1.png", "right-1.png"]
    assert named("x/2/data/1.png", "x/3/data/1.png") == ["2-data-1.png", "3-data-1.png"]


def test_names_that_some_file_systems_take_for_one_are_told_apart() -> None:
    assert named("in/a.PNG", "in/a.png") == ["a.PNG", "a.png-2"]
    assert named("in/a.png", "in/a.PNG") == ["a.png-2", "a.PNG"]
    assert named("x/A.png", "y/a.png") == ["x-A.png", "y-a.png"]
    assert len(set(named("in/\u00e9.png", "in/e\u0301.png"))) == 2


def test_a_name_made_longer_takes_no_place_of_another() -> None:
    names = named("in/1.png", "in/1.jpg", "in/1.png.bmp")
    assert len(set(names)) == 3


@settings(deadline=None, max_examples=200, derandomize=True)
@given(PATHS)
def test_no_two_results_share_a_name_on_any_file_system_and_the_order_does_not_matter(paths: list[Path]) -> None:
    paths = list(dict.fromkeys(paths))
    names = result_names(paths)
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names}
    assert len(folded) == len(paths)
    assert not any("/" in name or not name for name in names)
    assert result_names(paths[::-1]) == names[::-1]


def test_a_path_that_is_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"several inputs have the same name; got .*in-a\.png"):
        named("in/a.png", "in/a.png")
