from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.datasets.camvid import CamVid, write_camvid_layout
from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import Streets
from rtseg.errors import DatasetError, ImageError, WriteError
from rtseg.specs import Resolution
from rtseg.training.class_shares import class_shares
from tests.observers import Recorder
from tests.outside import outside

REAL = outside("camvid")

TRAIN_SHARES = {
    "sky": 0.17538,
    "building": 0.24215,
    "pole": 0.01023,
    "road": 0.32960,
    "pavement": 0.04671,
    "tree": 0.10124,
    "sign": 0.01221,
    "fence": 0.01173,
    "car": 0.06107,
    "pedestrian": 0.00666,
    "bicyclist": 0.00304,
}
"""Of the labelled pixels of the 367 training pictures, void left out."""

TRAIN_MEAN_RGB = (105.03, 108.41, 110.33)


def put(root: Path, split: str, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    """Write a picture (RGB) and its labels as the SegNet tutorial lays them out."""
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(root / split / f"{name}.png"), image[..., ::-1])
    assert cv2.imwrite(str(root / f"{split}annot" / f"{name}.png"), labels)


def picture(seed: int, height: int = 6, width: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return image, random.integers(0, 12, (height, width)).astype(np.uint8)


@pytest.fixture()
def tree(tmp_path: Path) -> Path:
    for seed, name in enumerate(["0002", "0001", "0003"]):
        put(tmp_path, "train", name, *picture(seed))
    return tmp_path


def test_pictures_come_sorted_by_name(tree: Path) -> None:
    dataset = CamVid(tree, "train")
    assert len(dataset) == 3
    assert [dataset[index].name for index in range(3)] == ["0001", "0002", "0003"]


def test_pixels_are_rgb_and_labels_those_of_the_file(tree: Path) -> None:
    image, labels = picture(0)
    item = CamVid(tree, "train")[1]
    np.testing.assert_array_equal(item.image, image)
    np.testing.assert_array_equal(item.labels[labels < 11], labels[labels < 11])


def test_eleven_is_void(tree: Path) -> None:
    _, labels = picture(0)
    assert (labels == 11).any()
    np.testing.assert_array_equal(CamVid(tree, "train")[1].labels == CAMVID_CLASSES.ignore_index, labels == 11)


def test_a_folder_without_the_layout_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no CamVid pictures in .*train; expected train/\*\.png and trainannot"):
        CamVid(tmp_path, "train")


def test_missing_labels_are_counted_and_the_first_is_named(tree: Path) -> None:
    for name in ("0002", "0003"):
        (tree / "trainannot" / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=r"2 label files are missing; got no .*trainannot.0002\.png"):
        CamVid(tree, "train")


def test_labels_of_another_size_are_refused_with_both_sizes(tree: Path) -> None:
    put(tree, "train", "0001", picture(0)[0], np.zeros((5, 9), np.uint8))
    with pytest.raises(DatasetError, match="picture and labels of 0001 differ in size; got 5x9; expected 6x9"):
        CamVid(tree, "train")[0]


def test_labels_outside_the_classes_are_refused_with_the_values(tree: Path) -> None:
    labels = np.zeros((6, 9), np.uint8)
    labels[2, 3], labels[0, 0] = 12, 200
    put(tree, "train", "0001", picture(0)[0], labels)
    with pytest.raises(DatasetError, match=r"the labels of 0001 .*; got 12, 200; expected 0 to 10"):
        CamVid(tree, "train")[0]


def test_coloured_labels_are_refused(tree: Path) -> None:
    put(tree, "train", "0001", picture(0)[0], picture(1)[0])
    with pytest.raises(ImageError, match="is not a label map"):
        CamVid(tree, "train")[0]


def test_a_damaged_picture_is_refused_by_name(tree: Path) -> None:
    path = tree / "train" / "0001.png"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ImageError, match=r"0001\.png"):
        CamVid(tree, "train")[0]


def test_a_damaged_label_file_is_refused_by_name(tree: Path) -> None:
    (tree / "trainannot" / "0001.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"trainannot.0001\.png is not a picture"):
        CamVid(tree, "train")[0]


@pytest.mark.parametrize("split", CamVid.SPLITS)
def test_a_split_holds_its_own_pictures_only(tree: Path, split: str) -> None:
    for other in CamVid.SPLITS:
        put(tree, other, f"of_{other}", *picture(7))
    dataset = CamVid(tree, split)
    names = {dataset[index].name for index in range(len(dataset))}
    assert {name for name in names if name.startswith("of_")} == {f"of_{split}"}


def test_labels_without_a_picture_are_left_alone(tree: Path) -> None:
    (tree / "train" / "0002.png").unlink()
    assert [CamVid(tree, "train")[index].name for index in range(2)] == ["0001", "0003"]


def test_a_split_without_pictures_is_refused(tree: Path) -> None:
    (tree / "val").mkdir()
    with pytest.raises(DatasetError, match=r"no CamVid pictures in .*val; expected val/\*\.png and valannot"):
        CamVid(tree, "val")


def test_past_the_end_is_an_index_error(tree: Path) -> None:
    with pytest.raises(IndexError):
        CamVid(tree, "train")[3]


def test_streets_written_in_camvids_layout_are_read_back_as_they_were(tmp_path: Path) -> None:
    streets = Streets("val", Resolution(48, 64))
    write_camvid_layout(streets, tmp_path, "val", count=2)
    dataset = CamVid(tmp_path, "val")
    assert len(dataset) == 2
    for index in range(2):
        np.testing.assert_array_equal(dataset[index].image, streets[index].image)
        np.testing.assert_array_equal(dataset[index].labels, streets[index].labels)


def test_void_is_written_as_eleven(tmp_path: Path) -> None:
    streets = Streets("val", Resolution(48, 64))
    write_camvid_layout(streets, tmp_path, "val", count=1)
    stored = cv2.imread(str(next((tmp_path / "valannot").iterdir())), cv2.IMREAD_UNCHANGED)
    void = streets[0].labels == 255
    assert (stored[void] == 11).all()
    assert stored.max() <= 11


def test_other_classes_are_not_written_in_camvids_layout(tmp_path: Path) -> None:
    class OtherClasses(Streets):
        classes = class_spec("cityscapes")

    with pytest.raises(DatasetError, match="CamVid's classes only; got cityscapes"):
        write_camvid_layout(OtherClasses("val"), tmp_path, "val", count=1)


def test_a_folder_that_cannot_be_made_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "val").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match="cannot write"):
        write_camvid_layout(Streets("val", Resolution(48, 64)), tmp_path, "val", count=1)


@pytest.mark.data("camvid")
def test_the_real_camvid_has_its_numbers_of_pictures() -> None:
    assert (len(CamVid(REAL, "train")), len(CamVid(REAL, "val"))) == (367, 101)


@pytest.mark.data("camvid")
def test_the_real_camvid_is_360_by_480() -> None:
    item = CamVid(REAL, "val")[0]
    assert (item.image.shape, item.labels.shape) == ((360, 480, 3), (360, 480))


class LabelsOnly(CamVid):
    """Skips decoding the pictures, which class shares do not look at."""

    def __getitem__(self, index: int):  # type: ignore[no-untyped-def]
        from rtseg.datasets.labelled import LabelledImage
        from rtseg.images.label_png import read_label_png

        labels = read_label_png(self._pairs[index][1])
        return LabelledImage("", np.empty(0, np.uint8), np.where(labels == 11, np.uint8(255), labels))


@pytest.mark.data("camvid")
def test_the_real_training_split_has_the_published_class_shares() -> None:
    shares = dict(zip(CAMVID_CLASSES.names, class_shares(LabelsOnly(REAL, "train"))))
    assert shares == pytest.approx(TRAIN_SHARES, abs=6e-6)  # the fifth decimal, rounded


@pytest.mark.data("camvid")
def test_the_real_pictures_are_read_as_rgb() -> None:
    # Every tenth picture comes close enough to the mean colour to tell red from blue.
    dataset = CamVid(REAL, "train")
    mean = np.mean([dataset[index].image.mean((0, 1)) for index in range(0, 367, 10)], axis=0)
    assert mean == pytest.approx(TRAIN_MEAN_RGB, abs=2)
    assert mean[2] > mean[0]


# As folders lie on disks


def test_hidden_files_are_left_out_with_and_without_labels(tree: Path) -> None:
    for folder in ("train", "trainannot"):
        (tree / folder / "._0001.png").write_bytes(b"\0\5\x16\7")
    (tree / "train" / "._0009.png").write_bytes(b"\0\5\x16\7")
    (tree / "train" / ".DS_Store").touch()
    (tree / "train" / "Thumbs.db").touch()
    dataset = CamVid(tree, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["0001", "0002", "0003"]


def test_two_pictures_of_one_stem_have_two_names(tree: Path) -> None:
    for folder in ("train", "trainannot"):
        shutil.copy(tree / folder / "0002.png", tree / folder / "0001.PNG")
    dataset = CamVid(tree, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["0001.PNG", "0001.png", "0002", "0003"]
    np.testing.assert_array_equal(dataset[0].image, dataset[2].image)


def test_a_picture_that_is_none_has_its_place_and_is_an_error_in_it(tree: Path) -> None:
    (tree / "train" / "0004.png").symlink_to("nowhere")
    shutil.copy(tree / "trainannot" / "0001.png", tree / "trainannot" / "0004.png")
    dataset = CamVid(tree, "train")
    assert len(dataset) == 4
    with pytest.raises(ImageError, match=r"0004\.png: it is a link to a missing file"):
        dataset[3]


def test_pictures_of_12_bits_in_16_are_warned_of_once(tree: Path) -> None:
    recorder = Recorder()
    for name in ("0001", "0002"):
        image, _ = picture(0)
        assert cv2.imwrite(str(tree / "train" / f"{name}.png"), image.astype(np.uint16) * 16 + 15)
    dataset = CamVid(tree, "train", recorder)
    for index in range(3):
        _ = dataset[index]
    assert len(recorder.warnings) == 1 and "at most 12 of them" in recorder.warnings[0]
