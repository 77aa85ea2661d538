"""Class lists of one's own: what a file may state, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtseg.datasets.own_classes import OwnClasses, read_own_classes
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError, SpecError, UnknownNameError

NAMES = 'names = ["grass", "path", "person"]\n'
IN = Path("labels.png")


def read(folder: Path, text: str) -> OwnClasses:
    path = folder / "classes.toml"
    path.write_text(text, encoding="utf-8")
    return read_own_classes(path)


def test_names_are_enough(tmp_path: Path) -> None:
    own = read(tmp_path, NAMES)
    assert own.spec.names == ("grass", "path", "person")
    assert own.spec.palette == class_spec("4").palette[1:], "the first colour is black"
    assert own.spec.dataset == "own"
    assert own.pictures_of("val") == tmp_path / "images" / "val"
    assert own.labels_of("val", "0001") == tmp_path / "labels" / "val" / "0001.png"


def test_a_class_list_in_a_file_is_one_of_the_class_lists(tmp_path: Path) -> None:
    own = read(tmp_path, NAMES + "palette = [[0, 128, 0], [128, 128, 128], [220, 20, 60]]\n")
    assert class_spec(str(own.file)) == own.spec
    assert own.spec.palette == ((0, 128, 0), (128, 128, 128), (220, 20, 60))


def test_a_value_is_the_index_of_its_class_unless_the_list_says_otherwise(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 2, 255]], np.uint8)
    np.testing.assert_array_equal(read(tmp_path, NAMES).indices(stored, IN), stored)


def test_values_stand_for_the_classes_in_the_order_of_the_names(tmp_path: Path) -> None:
    own = read(tmp_path, NAMES + "values = [7, 26, 11]\nvoid = [0, 4]\n")
    found = own.indices(np.array([[7, 26], [11, 0], [4, 7]], np.uint8), IN)
    np.testing.assert_array_equal(found, [[0, 1], [2, 255], [255, 0]])


def test_where_255_is_a_class_nothing_else_is_void_unless_it_is_listed(tmp_path: Path) -> None:
    own = read(tmp_path, 'names = ["background", "lane"]\nvalues = [0, 255]\n')
    np.testing.assert_array_equal(own.indices(np.array([[0, 255]], np.uint8), IN), [[0, 1]])
    with pytest.raises(DatasetError, match="got 128; expected 0, 255 for the classes, nothing for no class"):
        own.indices(np.array([[0, 128]], np.uint8), IN)


def test_a_value_that_the_list_does_not_have_is_named(tmp_path: Path) -> None:
    own = read(tmp_path, NAMES)
    with pytest.raises(
        DatasetError,
        match=r"labels.png holds values that .*classes.toml does not list; got 3, 254; "
        "expected 0 to 2 for the classes, 255 for no class. Try: put them into void",
    ):
        own.indices(np.array([[0, 254], [3, 255]], np.uint8), IN)


def test_pictures_and_labels_may_lie_anywhere_beside_the_file(tmp_path: Path) -> None:
    own = read(tmp_path, NAMES + 'pictures = "{split}/rgb"\nlabels = "{split}/masks/{name}_mask.png"\n')
    assert own.pictures_of("train") == tmp_path / "train" / "rgb"
    assert own.labels_of("train", "a") == tmp_path / "train" / "masks" / "a_mask.png"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names of .* is wrong; expected a list of class names. Try: write names = "),
        ('names = "grass"', "expected a list of class names"),
        ('names = ["grass", " "]', "got ' '; expected 1 to 100 printable characters"),
        (r'names = ["grass", "a\u001b[31m"]', "got 'a.x1b.31m'; expected 1 to 100 printable characters"),
        (r'names = ["grass", "a\nb"]', "expected 1 to 100 printable characters"),
        (r'names = ["grass", "\u202eb"]', "expected 1 to 100 printable characters"),
        (f'names = ["grass", "{101 * "a"}"]', "expected 1 to 100 printable characters"),
        ('names = ["grass"]', "got 1 names; expected 2 to 254"),
        ('names = ["grass", "grass"]', "got 'grass' twice"),
        (f"names = {[str(number) for number in range(255)]}", "got 255 names; expected 2 to 254"),
        (NAMES + "palette = [[0, 0, 0]]", r"palette of .*; expected 3 lists \[red, green, blue\], one for each name"),
        (NAMES + "palette = 3", r"expected 3 lists \[red, green, blue\]"),
        (NAMES + "palette = [1, 2, 3]", r"got 1; expected \[red, green, blue\], each from 0 to 255"),
        (NAMES + "palette = [[0, 0, 256], [0, 0, 0], [0, 0, 0]]", r"got \[0, 0, 256\]; expected \[red"),
        (NAMES + "palette = [[0, 0, true], [0, 0, 0], [0, 0, 0]]", r"got \[0, 0, True\]; expected \[red"),
        (NAMES + "values = [0, 1]", "got 2 values; expected 3, one for each name"),
        (NAMES + "values = [0, 1, 256]", "got 256; expected integers from 0 to 255, each once"),
        (NAMES + "values = [0, 1, 1]", "got 1; expected integers from 0 to 255, each once"),
        (NAMES + "values = [0, 1, true]", "got True; expected integers"),
        (NAMES + "values = 3", "got 3; expected integers"),
        (NAMES + "void = 2", "got 2, which stands for person; expected values of no class"),
        (NAMES + 'void = "none"', "got none; expected integers"),
        (NAMES + 'pictures = "images"', r"expected a path with \{split\}\. Try: write pictures = 'images/\{split\}'"),
        (NAMES + 'pictures = "{split}/{name}"', r"expected a path with \{split\}"),
        (NAMES + 'labels = "labels/{split}"', r"expected a path with \{name\}"),
        (NAMES + 'labels = "{stem}/{name}.png"', r"expected a path with \{name\}"),
        (NAMES + r'pictures = "a\u0000/{split}"', r"pictures of .* is wrong; got 'a.x00/\{split\}'"),
        (NAMES + "labels = 3", r"expected a path with \{name\}"),
        (NAMES + "color = 3", "unknown key of the class list .*; got 'color'"),
        ("names = [", "is not a class list in TOML"),
        ("names = " + "[" * 5000, "is not a class list in TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises((SpecError, UnknownNameError), match=told):
        read(tmp_path, text)


def test_a_file_of_another_kind_is_no_class_list(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="is not a class list in TOML"):
        read_own_classes(path)


def test_the_mark_that_windows_puts_first_is_no_part_of_the_list(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + NAMES.replace("\n", "\r\n")).spec.names == ("grass", "path", "person")


def test_a_file_that_is_not_there_is_told_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read the class list .*: No such file.* Try: write it, with names = "):
        read_own_classes(tmp_path / "classes.toml")
