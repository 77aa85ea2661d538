from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtseg.datasets.cityscapes import CITYSCAPES_CLASSES, Cityscapes
from rtseg.errors import DatasetError, ImageError

LABEL_IDS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""From the benchmark's own table, in the order of the train ids; all other ids are void."""

ALL_IDS = np.arange(34, dtype=np.uint8).reshape(2, 17)
IMAGE = np.random.default_rng(0).integers(0, 256, (2, 17, 3)).astype(np.uint8)


def put(
    root: Path,
    name: str,
    labels: np.ndarray | None,
    *,
    city: str = "aachen",
    split: str = "train",
    kind: str = "labelIds",
    image: np.ndarray = IMAGE,
) -> None:
    pictures, truths = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
    for folder in (pictures, truths):
        folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(pictures / f"{name}_leftImg8bit.png"), image[..., ::-1])
    if labels is not None:
        assert cv2.imwrite(str(truths / f"{name}_gtFine_{kind}.png"), labels)


def test_label_ids_become_the_benchmarks_train_ids(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    labels = Cityscapes(tmp_path, "train")[0].labels.ravel()
    expected = {label_id: train_id for train_id, label_id in enumerate(LABEL_IDS.values())}
    assert [int(value) for value in labels] == [expected.get(label_id, 255) for label_id in range(34)]


def test_the_classes_are_the_nineteen_in_the_order_of_the_train_ids() -> None:
    assert CITYSCAPES_CLASSES.names == tuple(LABEL_IDS)


def test_pixels_are_rgb_and_the_name_is_the_frames(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    item = Cityscapes(tmp_path, "train")[0]
    assert item.name == "aachen_000000_000019"
    np.testing.assert_array_equal(item.image, IMAGE)


def test_pictures_come_sorted_by_city_and_name(tmp_path: Path) -> None:
    put(tmp_path, "bochum_000000_000001", ALL_IDS, city="bochum")
    put(tmp_path, "aachen_000001_000019", ALL_IDS)
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    dataset = Cityscapes(tmp_path, "train")
    names = [dataset[index].name for index in range(len(dataset))]
    assert names == ["aachen_000000_000019", "aachen_000001_000019", "bochum_000000_000001"]


def test_a_split_holds_its_own_pictures_only(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    put(tmp_path, "lindau_000000_000019", ALL_IDS, city="lindau", split="val")
    assert [Cityscapes(tmp_path, "val")[0].name, len(Cityscapes(tmp_path, "val"))] == ["lindau_000000_000019", 1]


def test_train_ids_are_taken_as_they_are(tmp_path: Path) -> None:
    labels = np.array([[*range(17)], [17, 18, *[255] * 15]], np.uint8)
    put(tmp_path, "aachen_000000_000019", labels, kind="labelTrainIds")
    np.testing.assert_array_equal(Cityscapes(tmp_path, "train")[0].labels, labels)


def test_train_ids_are_preferred_where_both_files_are(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    put(tmp_path, "aachen_000000_000019", np.full((2, 17), 5, np.uint8), kind="labelTrainIds")
    assert (Cityscapes(tmp_path, "train")[0].labels == 5).all()


def test_a_folder_without_the_layout_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no Cityscapes pictures in .*leftImg8bit.*Try: .*gtFine"):
        Cityscapes(tmp_path, "train")


def test_missing_labels_are_named(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", None)
    with pytest.raises(
        DatasetError, match=r"label file is missing; got no .*aachen_000000_000019_gtFine_labelIds\.png"
    ):
        Cityscapes(tmp_path, "train")


def test_labels_of_another_size_are_refused_with_both_sizes(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS[:, :16])
    with pytest.raises(DatasetError, match="aachen_000000_000019 differ in size; got 2x16; expected 2x17"):
        Cityscapes(tmp_path, "train")[0]


def test_label_ids_that_there_are_not_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS + np.uint8(1))
    with pytest.raises(DatasetError, match="is not a labelIds file; got 34; expected 0 to 33"):
        Cityscapes(tmp_path, "train")[0]


def test_train_ids_that_there_are_not_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", np.full((2, 17), 19, np.uint8), kind="labelTrainIds")
    with pytest.raises(DatasetError, match=r"outside the class range; got 19; expected 0 to 18, or 255"):
        Cityscapes(tmp_path, "train")[0]


def test_labels_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS.astype(np.uint16))
    with pytest.raises(
        ImageError, match=r"is not a label map; got one channel of 16 bits; .*Try: save the same values"
    ):
        Cityscapes(tmp_path, "train")[0]


def test_coloured_labels_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", IMAGE)
    with pytest.raises(ImageError, match=r"gtFine_labelIds\.png is not a label map; got colours of 8 bits"):
        Cityscapes(tmp_path, "train")[0]


@pytest.mark.parametrize("kind", ["leftImg8bit", "gtFine"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    path = next((tmp_path / kind).rglob("*.png"))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ImageError, match=path.name):
        Cityscapes(tmp_path, "train")[0]


def test_the_labels_of_another_city_are_not_taken(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    truths = tmp_path / "gtFine" / "train"
    (truths / "aachen").rename(truths / "bochum")
    with pytest.raises(DatasetError, match=r"label file is missing; got no .*aachen.aachen_000000_000019"):
        Cityscapes(tmp_path, "train")


def test_other_files_of_the_benchmark_beside_the_labels_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    for kind in ("color", "instanceIds"):
        put(tmp_path, "aachen_000000_000019", np.full((2, 17), 99, np.uint8), kind=kind)
    assert Cityscapes(tmp_path, "train")[0].labels.max() == 255


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_city_is_refused(tmp_path: Path, split: str) -> None:
    (tmp_path / "leftImg8bit" / split).mkdir(parents=True)
    with pytest.raises(DatasetError, match=rf"no Cityscapes pictures in .*{split}; expected CITY/NAME_leftImg8bit"):
        Cityscapes(tmp_path, split)


def test_past_the_end_is_an_index_error(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    with pytest.raises(IndexError):
        Cityscapes(tmp_path, "train")[1]


# As folders lie on disks


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "aachen_000000_000019", ALL_IDS)
    for city in ("aachen", ".Trash"):
        folder = tmp_path / "leftImg8bit" / "train" / city
        folder.mkdir(exist_ok=True)
        (folder / f"._{city}_000000_000019_leftImg8bit.png").write_bytes(b"\0\5\x16\7")
    put(tmp_path, "aachen_000000_000019", ALL_IDS, city=".Trash")
    dataset = Cityscapes(tmp_path, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["aachen_000000_000019"]


def test_pictures_of_one_name_in_two_cities_are_told_apart(tmp_path: Path) -> None:
    for city in ("aachen", "bochum"):
        put(tmp_path, "000000", ALL_IDS, city=city)
    put(tmp_path, "000001", ALL_IDS, city="bochum")
    dataset = Cityscapes(tmp_path, "train")
    assert [dataset[index].name for index in range(len(dataset))] == ["aachen/000000", "bochum/000000", "000001"]


def test_train_ids_under_the_name_of_label_ids_are_told_their_name(tmp_path: Path) -> None:
    put(tmp_path, "a", np.array([[0, 18, 255]], np.uint8), image=IMAGE[:1, :3])
    with pytest.raises(DatasetError, match=r"is not a labelIds file; got 255.*Try: .*NAME_gtFine_labelTrainIds\.png"):
        Cityscapes(tmp_path, "train")[0]


def test_label_ids_under_the_name_of_train_ids_are_told_their_name(tmp_path: Path) -> None:
    put(tmp_path, "a", ALL_IDS, kind="labelTrainIds")
    with pytest.raises(DatasetError, match=r"outside the class range.*Try: rename it to NAME_gtFine_labelIds\.png"):
        Cityscapes(tmp_path, "train")[0]


def test_instance_ids_under_the_name_of_label_ids_are_told_how_to_become_them(tmp_path: Path) -> None:
    put(tmp_path, "a", np.array([[7, 26001, 24003]], np.uint16), image=IMAGE[:1, :3])
    with pytest.raises(ImageError, match=r"one channel of 16 bits.*Try: use NAME_gtFine_labelIds\.png, or save 8 bits"):
        Cityscapes(tmp_path, "train")[0]
