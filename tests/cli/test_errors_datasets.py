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
    assert message.startswith(f"1 label files are missing; got no {camvid / 'valannot' / 'a.png'}. Try: pass images:")


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
    assert "pictures in" in message and f"Try: pass {name}:PATH with the folder that holds" in message


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
    assert message.startswith("the artifact and the dataset have different classes; got cityscapes with 19 classes")


# Nothing labelled

NOTHING = "no pixel of the 2 pictures is labelled; got label files that hold only void; expected some pixels of the 11"


@pytest.fixture
def void(camvid: Path) -> Path:
    """A folder in CamVid's layout: two pictures of each split, whose labels are void."""
    for split in ("train", "val"):
        for name in ("a", "b"):
            for folder, image in ((split, np.repeat(LABELS[..., None] * 20, 3, axis=2)), (f"{split}annot", LABELS)):
                (camvid / folder).mkdir(exist_ok=True)
                stored = np.full_like(LABELS, 11) if folder.endswith("annot") else image
                cv2.imwrite(str(camvid / folder / f"{name}.png"), stored)
    return camvid


def test_nothing_labelled_is_an_error_of_validate(refused: Refused, exported: Path, void: Path) -> None:
    for more in ((), ("--against", exported), ("--against", exported, "--max-drop", 1), ("--limit", 9)):
        assert refused("validate", exported, "--data", f"camvid:{void}", *more).startswith(NOTHING)


def test_the_first_pictures_alone_are_looked_at_where_there_is_a_limit(
    cli: Callable[..., Any], refused: Refused, exported: Path, void: Path
) -> None:
    cv2.imwrite(str(void / "valannot" / "b.png"), LABELS)
    data = "--data", f"camvid:{void}"
    assert cli("validate", exported, *data).code == 0
    assert refused("validate", exported, *data, "--limit", 1).startswith("no pixel of the 1 picture is labelled")


def test_nothing_labelled_is_an_error_of_quantize_and_sensitivity(
    refused: Refused, exported: Path, calibrated: Path, void: Path, tmp_path: Path
) -> None:
    data = "--data", f"camvid:{void}"
    quantize = "quantize", exported, "--table", calibrated, "--to", "int8", "-o", tmp_path / "int8.onnx"
    assert refused(*quantize, "--max-drop", 1, *data).startswith(NOTHING)
    assert not (tmp_path / "int8.onnx").exists()
    assert refused("sensitivity", exported, "--table", calibrated, *data).startswith(NOTHING)


def test_nothing_labelled_is_an_error_of_bench_before_anything_is_timed(
    refused: Refused, exported: Path, void: Path
) -> None:
    data = "--data", f"camvid:{void}", "--seconds", 60
    assert refused("bench", exported, *data).startswith(NOTHING)
    assert refused("bench", "--network", "affnet", "--resolution", "64x64", *data).startswith(NOTHING)


@pytest.mark.parametrize("damage", ["no picture", "labels out of range"])
def test_a_damaged_picture_costs_a_benchmark_its_accuracy_alone(
    cli: Callable[..., Any], exported: Path, void: Path, damage: str
) -> None:
    if damage == "no picture":
        (void / "val" / "a.png").write_bytes(b"")
    else:
        cv2.imwrite(str(void / "valannot" / "a.png"), LABELS + 100)
    assert cli("bench", exported, "--data", f"camvid:{void}", "--seconds", "0.05").code == 0


@pytest.mark.parametrize(("split", "kind"), [("train", "training"), ("val", "validation")])
def test_nothing_labelled_is_an_error_of_train(
    refused: Refused, void: Path, tmp_path: Path, split: str, kind: str
) -> None:
    labelled = "val" if split == "train" else "train"
    for name in ("a", "b"):
        cv2.imwrite(str(void / f"{labelled}annot" / f"{name}.png"), LABELS)
    settings = "--epochs", 1, "--batch-size", 2, "--crop", "48x64", "-o", tmp_path / "out.safetensors"
    message = refused("train", "affnet", "--data", f"camvid:{void}", *settings)
    assert message.startswith(f"no pixel of the 2 {kind} pictures is labelled")


def test_the_test_split_of_cityscapes_is_told_where_the_labels_are(
    cli: Callable[..., Any], refused: Refused, tmp_path: Path
) -> None:
    for kind, values in (("leftImg8bit", 90), ("gtFine", 1)):
        folder = tmp_path / kind / "test" / "berlin"
        folder.mkdir(parents=True)
        end = "leftImg8bit" if kind == "leftImg8bit" else "gtFine_labelIds"
        cv2.imwrite(str(folder / f"berlin_000000_000019_{end}.png"), np.full((48, 64), values, np.uint8))
    arguments = "--classes", "cityscapes", "--resolution", "64x64", "--images", "0", "-o", tmp_path / "n.onnx"
    assert cli("export", "affnet", *arguments).code == 0
    command = "validate", tmp_path / "n.onnx", "--data", f"cityscapes:{tmp_path}", "--split", "test"
    hint = ". Try: use --split val: the labels of Cityscapes' test split are not public"
    for more in ((), ("--against", tmp_path / "n.onnx")):
        message = refused(*command, *more)
        assert message.startswith("no pixel of the 1 picture is labelled") and message.endswith(hint)
    next((tmp_path / "gtFine").rglob("*.png")).unlink()
    message = refused(*command)
    assert message.startswith("a label file is missing; got no ") and message.endswith(hint)
