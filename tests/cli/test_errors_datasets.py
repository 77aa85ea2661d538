"""Labelled folders that lack files, or whose labels cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Refused = Callable[..., str]

LABELS = np.random.default_rng(2).integers(0, 12, (48, 64)).astype(np.uint8)


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder in CamVid's layout: one validation picture."""
    root = tmp_path / "camvid"
    for folder in ("val", "valannot"):
        (root / folder).mkdir(parents=True)
    cv2.imwrite(str(root / "val" / "a.png"), np.repeat(LABELS[..., None] * 20, 3, axis=2))
    cv2.imwrite(str(root / "valannot" / "a.png"), LABELS)
    return root


@pytest.fixture
def validate_refused(refused: Refused, exported: Path) -> Refused:
    """Validate on a dataset, which has to fail."""
    return lambda data, *arguments: refused("validate", exported, "--data", data, *arguments)


def test_the_folder_of_these_tests_is_a_good_one(cli: Callable[..., Any], exported: Path, camvid: Path) -> None:
    assert cli("validate", exported, "--data", f"camvid:{camvid}").code == 0


def test_labels_outside_the_class_range_are_refused(validate_refused: Refused, camvid: Path) -> None:
    labels = LABELS.copy()
    labels[3, 5] = 40
    cv2.imwrite(str(camvid / "valannot" / "a.png"), labels)
    message = validate_refused(f"camvid:{camvid}")
    assert "labels of a hold values outside the class range; got 40; expected 0 to 10, or 255 for void" in message


def test_labels_of_another_size_than_their_picture_are_refused(validate_refused: Refused, camvid: Path) -> None:
    cv2.imwrite(str(camvid / "valannot" / "a.png"), LABELS[:32])
    message = validate_refused(f"camvid:{camvid}")
    assert message == "picture and labels of a differ in size; got 32x64; expected 48x64"


def test_a_missing_label_file_is_refused_and_named(validate_refused: Refused, camvid: Path) -> None:
    (camvid / "valannot" / "a.png").unlink()
    message = validate_refused(f"camvid:{camvid}")
    assert message == f"1 label files are missing; got no {camvid / 'valannot' / 'a.png'}"


@pytest.mark.parametrize(
    "labels", [LABELS.astype(np.uint16), np.dstack([LABELS] * 3)], ids=["16 bit", "three channels"]
)
def test_labels_that_are_no_single_8_bit_channel_are_refused(
    validate_refused: Refused, camvid: Path, labels: NDArray[Any]
) -> None:
    cv2.imwrite(str(camvid / "valannot" / "a.png"), labels)
    assert f"{camvid / 'valannot' / 'a.png'} is not a label map; got" in validate_refused(f"camvid:{camvid}")


def test_labels_in_a_palette_png_are_refused_and_not_misread(validate_refused: Refused, camvid: Path) -> None:
    picture = Image.fromarray(LABELS).convert("P")
    picture.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    picture.save(camvid / "valannot" / "a.png")
    assert "a.png has a palette that is not camvid's; got (0, 255, 7) for 0" in validate_refused(f"camvid:{camvid}")


@pytest.mark.parametrize("content", [b"", b"hello"], ids=["empty", "text"])
@pytest.mark.parametrize("folder", ["val", "valannot"])
def test_a_file_that_is_no_picture_is_refused_and_named(
    validate_refused: Refused, camvid: Path, folder: str, content: bytes
) -> None:
    (camvid / folder / "a.png").write_bytes(content)
    message = validate_refused(f"camvid:{camvid}")
    assert message.startswith(f"{camvid / folder / 'a.png'} is not a picture OpenCV can read")


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_a_folder_without_the_layout_is_refused_with_the_layout(
    validate_refused: Refused, tmp_path: Path, name: str
) -> None:
    message = validate_refused(f"{name}:{tmp_path}")
    assert "pictures in" in message and f"Try: {name}:PATH with the folder that holds" in message


@pytest.mark.parametrize("data", ["camvid", "camvid:", "cityscapes:"])
def test_a_dataset_without_its_folder_is_refused(validate_refused: Refused, data: str) -> None:
    assert "needs a folder" in validate_refused(data)


def test_a_folder_that_does_not_exist_is_refused(validate_refused: Refused, tmp_path: Path) -> None:
    assert validate_refused(f"camvid:{tmp_path / 'none'}").startswith(f"no folder {tmp_path / 'none'}")


@pytest.mark.parametrize("size", ["axb", "8x8"])
def test_scenes_of_no_size_are_refused(validate_refused: Refused, size: str) -> None:
    assert f"got {size}" in validate_refused(f"streets:{size}").replace("'", "")


def test_classes_that_differ_from_the_datasets_are_refused(validate_refused: Refused, tmp_path: Path) -> None:
    for path in ("leftImg8bit/val/city/a_leftImg8bit.png", "gtFine/val/city/a_gtFine_labelIds.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / path), LABELS)
    message = validate_refused(f"cityscapes:{tmp_path}")
    assert message.startswith("the artifact and the dataset speak of different classes; got cityscapes with 19 classes")
