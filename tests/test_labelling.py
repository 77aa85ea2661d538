from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import Streets
from rtseg.errors import InputError, WriteError
from rtseg.frame.palette import overlay
from rtseg.frame.segmenter import Segmenter
from rtseg.images.files import read_image
from rtseg.images.label_png import read_label_png
from rtseg.labelling import expand_inputs, label_files
from rtseg.observer import Observer
from rtseg.runners.loading import load
from rtseg.specs import Resolution
from tests.images.file_trees import PICTURES, TREES, planted

CLASSES = class_spec("camvid")
FRAMES = 5


pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def segmenter(affnet_interfaces: dict[str, Path]) -> Segmenter:
    return load(affnet_interfaces["logits"], threads=1)


def scene(index: int = 0) -> np.ndarray:
    return Streets("val", Resolution(48, 80))[index].image


def save(path: Path, index: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), scene(index)[..., ::-1])
    return path


def save_video(path: Path, frames: int = FRAMES) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (80, 48))
    for index in range(frames):
        writer.write(np.ascontiguousarray(scene(index)[..., ::-1]))
    writer.release()
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# What is meant


def test_a_file_is_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    assert expand_inputs([path]) == ([path], [])


def test_a_folder_is_its_images_and_videos_sorted_without_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    save(tmp_path / "deeper" / "d.png")
    assert [path.name for path in expand_inputs([tmp_path]).files] == ["a.jpg", "b.PNG", "c.mp4"]


def test_whatever_is_named_like_a_picture_is_an_input_and_what_is_hidden_is_none(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "sequence.png").mkdir()
    (tmp_path / "broken.png").symlink_to("nowhere")
    for name in ("._a.png", ".b.mp4", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [path.name for path in expand_inputs([tmp_path]).files] == ["a.png", "broken.png", "sequence.png"]


def test_a_file_that_is_named_itself_is_an_input_though_hidden(tmp_path: Path) -> None:
    assert expand_inputs([save(tmp_path / ".a.png")]).files == [tmp_path / ".a.png"]


def test_a_file_that_is_meant_twice_is_given_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    assert expand_inputs([tmp_path, path, tmp_path / "." / "a.png"]).files == [path]


def test_what_gives_no_file_is_a_failure_where_others_give_some(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    path = save(tmp_path / "a.png")
    files, failures = expand_inputs([tmp_path / "empty", path, tmp_path / "none.mp4"])
    assert files == [path]
    assert [failure["input"] for failure in failures] == [str(tmp_path / "empty"), str(tmp_path / "none.mp4")]
    assert failures[1]["error"] == f"no such file or folder: {tmp_path / 'none.mp4'}"


def test_a_folder_with_nothing_to_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"no image or video in .*expected files ending in .png"):
        expand_inputs([tmp_path])


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file or folder: .*nothing\.png"):
        expand_inputs([tmp_path / "nothing.png"])


# Pictures


def test_a_picture_gives_its_label_png_and_its_overlay(segmenter: Segmenter, tmp_path: Path) -> None:
    label_files(segmenter, [save(tmp_path / "street.jpg")], tmp_path / "out")
    assert names(tmp_path / "out") == ["street_labels.png", "street_overlay.png"]


def test_the_label_png_holds_indices_and_the_classes_colours(segmenter: Segmenter, tmp_path: Path) -> None:
    path = save(tmp_path / "street.png")
    label_files(segmenter, [path], tmp_path / "out")
    expected = segmenter(scene())
    with Image.open(tmp_path / "out" / "street_labels.png") as stored:
        assert stored.mode == "P"
        np.testing.assert_array_equal(np.array(stored), expected)
        np.testing.assert_array_equal(np.array(stored.convert("RGB")), np.array(CLASSES.palette, np.uint8)[expected])


def test_the_overlay_is_half_picture_half_colour(segmenter: Segmenter, tmp_path: Path) -> None:
    label_files(segmenter, [save(tmp_path / "street.png")], tmp_path / "out")
    stored = cv2.imread(str(tmp_path / "out" / "street_overlay.png"))[..., ::-1].astype(int)
    colours = np.array(CLASSES.palette)[segmenter(scene())]
    assert np.abs(2 * stored - (scene().astype(int) + colours)).max() <= 1


def test_the_shares_of_a_picture_are_counted_and_sum_to_one(segmenter: Segmenter, tmp_path: Path) -> None:
    summary = label_files(segmenter, [save(tmp_path / "street.png")], tmp_path / "out").to_json()
    (entry,) = summary["inputs"]
    labels = segmenter(scene())
    assert entry["pixels"] == 48 * 80
    assert entry["frames"] == 1
    assert sum(entry["class_share"].values()) == pytest.approx(1)
    for index, name in enumerate(CLASSES.names):
        assert entry["class_share"][name] == np.count_nonzero(labels == index) / labels.size


def test_the_shares_of_all_are_weighted_by_their_pixels(segmenter: Segmenter, tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    cv2.imwrite(str(small), np.zeros((10, 10, 3), np.uint8))
    save(large)
    summary = label_files(segmenter, [small, large], tmp_path / "out").to_json()
    labels = [segmenter(np.zeros((10, 10, 3), np.uint8)), segmenter(scene())]
    counts = sum(np.bincount(each.ravel(), minlength=11) for each in labels)
    assert summary["pixels"] == 100 + 48 * 80
    assert list(summary["class_share"].values()) == pytest.approx(list(counts / counts.sum()))
    assert sum(summary["class_share"].values()) == pytest.approx(1)


def test_the_summary_is_json(segmenter: Segmenter, tmp_path: Path) -> None:
    summary = label_files(segmenter, [save(tmp_path / "street.png")], tmp_path / "out").to_json()
    assert json.loads(json.dumps(summary)) == summary


def test_progress_is_told_input_by_input(segmenter: Segmenter, tmp_path: Path) -> None:
    class Told(Observer):
        def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
            told.append((task, done, total))

    told: list[tuple[str, float, float | None]] = []
    inputs = [save(tmp_path / f"{index}.png", index) for index in range(3)]
    label_files(segmenter, inputs, tmp_path / "out", observer=Told())
    assert told == [("labelling", done, 3) for done in (1, 2, 3)]


def test_labels_and_overlay_are_those_of_one_call_for_each_picture(segmenter: Segmenter, tmp_path: Path) -> None:
    inputs = [save(tmp_path / f"{index}.png", index) for index in range(2)]
    label_files(segmenter, inputs, tmp_path / "out")
    for index in range(2):
        image = scene(index)
        wanted = overlay(image, segmenter(image), CLASSES)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / f"{index}_overlay.png"), wanted)


# Videos


def test_a_video_gives_a_label_png_for_each_frame_and_an_overlay_video(segmenter: Segmenter, tmp_path: Path) -> None:
    label_files(segmenter, [save_video(tmp_path / "drive.mp4")], tmp_path / "out")
    frames = [f"drive_labels/{index:06d}.png" for index in range(FRAMES)]
    assert names(tmp_path / "out") == [*frames, "drive_overlay.mp4"]


def test_a_shorter_video_leaves_no_frame_of_an_earlier_longer_one(segmenter: Segmenter, tmp_path: Path) -> None:
    label_files(segmenter, [save_video(tmp_path / "drive.mp4")], tmp_path / "out")
    label_files(segmenter, [save_video(tmp_path / "drive.mp4", frames=2)], tmp_path / "out")
    assert names(tmp_path / "out") == ["drive_labels/000000.png", "drive_labels/000001.png", "drive_overlay.mp4"]


def test_the_labels_of_a_video_are_those_of_its_frames(segmenter: Segmenter, tmp_path: Path) -> None:
    path = save_video(tmp_path / "drive.mp4")
    label_files(segmenter, [path], tmp_path / "out")
    capture = cv2.VideoCapture(str(path))
    for index in range(FRAMES):
        frame = np.ascontiguousarray(capture.read()[1][..., ::-1])
        with Image.open(tmp_path / "out" / "drive_labels" / f"{index:06d}.png") as stored:
            np.testing.assert_array_equal(np.array(stored), segmenter(frame))
    capture.release()


def test_the_overlay_video_has_the_frames_size_and_rate(segmenter: Segmenter, tmp_path: Path) -> None:
    label_files(segmenter, [save_video(tmp_path / "drive.mp4")], tmp_path / "out")
    capture = cv2.VideoCapture(str(tmp_path / "out" / "drive_overlay.mp4"))
    count = 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        count += 1
        assert frame.shape == (48, 80, 3)
    assert (count, capture.get(cv2.CAP_PROP_FPS)) == (FRAMES, 10.0)
    capture.release()


def test_a_video_is_one_entry_with_the_pixels_of_all_frames(segmenter: Segmenter, tmp_path: Path) -> None:
    summary = label_files(segmenter, [save_video(tmp_path / "drive.mp4")], tmp_path / "out").to_json()
    (entry,) = summary["inputs"]
    assert (entry["frames"], entry["pixels"]) == (FRAMES, FRAMES * 48 * 80)
    assert sum(entry["class_share"].values()) == pytest.approx(1)


# What goes wrong


@pytest.mark.parametrize("name", ["broken.png", "broken.mp4", "empty.jpg"])
def test_an_input_that_cannot_be_read_is_recorded_and_the_others_are_done(
    segmenter: Segmenter, tmp_path: Path, name: str
) -> None:
    broken = tmp_path / name
    broken.write_bytes(b"" if name.startswith("empty") else b"neither picture nor video")
    inputs = [save(tmp_path / "before.png"), broken, save(tmp_path / "later.png", 1)]
    summary = label_files(segmenter, inputs, tmp_path / "out").to_json()
    assert [entry["input"] for entry in summary["inputs"]] == [str(inputs[0]), str(inputs[2])]
    assert [failure["input"] for failure in summary["failures"]] == [str(broken)]
    assert name in summary["failures"][0]["error"]
    expected = ["before_labels.png", "before_overlay.png", "later_labels.png", "later_overlay.png"]
    assert names(tmp_path / "out") == expected


def test_nothing_at_all_that_can_be_read_has_shares_of_zero(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no")
    summary = label_files(segmenter, [tmp_path / "broken.png"], tmp_path / "out").to_json()
    assert summary["pixels"] == 0
    assert set(summary["class_share"].values()) == {0.0}


def test_inputs_of_one_stem_are_each_labelled_under_a_name_of_their_own(segmenter: Segmenter, tmp_path: Path) -> None:
    inputs = [save(tmp_path / "a" / "street.png"), save(tmp_path / "b" / "street.bmp", 1)]
    summary = label_files(segmenter, inputs, tmp_path / "out").to_json()
    assert [entry["labels"] for entry in summary["inputs"]] == ["street.png_labels.png", "street.bmp_labels.png"]
    for index, entry in enumerate(summary["inputs"]):
        np.testing.assert_array_equal(read_label_png(tmp_path / "out" / entry["labels"]), segmenter(scene(index)))
        assert (tmp_path / "out" / entry["overlay"]).is_file()


def test_frames_of_an_earlier_run_that_are_inputs_now_are_never_overwritten(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    inputs = [save(tmp_path / "drive_labels" / "000000.png"), save_video(tmp_path / "drive.mp4")]
    with pytest.raises(InputError, match=r"would overwrite the input .*000000\.png"):
        label_files(segmenter, inputs, tmp_path)


def test_a_video_that_ends_early_is_labelled_as_far_as_it_goes_and_recorded(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (80, 48))
    for _ in range(20):
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    summary = label_files(segmenter, [path], tmp_path / "out").to_json()
    (entry,), (failure,) = summary["inputs"], summary["failures"]
    assert 5 < entry["frames"] < 20
    assert failure["error"].startswith(f"{path} ends early: {len(content) * 2 // 3} bytes of {len(content)} are there")


def test_a_video_whose_frames_an_mp4_cannot_hold_is_that_inputs_failure_by_name(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.avi"
    writer = cv2.VideoWriter(str(wide), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (8200, 16))
    writer.write(np.zeros((16, 8200, 3), np.uint8))
    writer.release()
    summary = label_files(segmenter, [wide, save(tmp_path / "z.png")], tmp_path / "out").to_json()
    assert [failure["error"] for failure in summary["failures"]] == [
        f"{wide}: the frames do not fit into an MP4; got 16x8200; expected sides of 2 to 8191 pixels"
    ]
    assert names(tmp_path / "out") == ["z_labels.png", "z_overlay.png"]


@pytest.mark.parametrize("letters", [227, 244, 250])
@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_a_name_too_long_for_results_is_that_inputs_failure_and_leaves_nothing(
    segmenter: Segmenter, tmp_path: Path, letters: int, suffix: str
) -> None:
    write = save if suffix == ".png" else save_video
    inputs = [write(tmp_path / ("n" * letters + suffix)), save(tmp_path / "z.png")]
    summary = label_files(segmenter, inputs, tmp_path / "out").to_json()
    done = [Path(entry["input"]).stem[0] for entry in summary["inputs"]]
    assert done == (["z"] if letters > 227 else ["n", "z"])
    assert [path for path in names(tmp_path / "out") if path.startswith(("n", "."))] == [] or letters == 227
    assert len(summary["failures"]) == (letters > 227)


def test_an_input_is_never_overwritten(segmenter: Segmenter, tmp_path: Path) -> None:
    # A truth beside its picture, labelled into the same folder.
    inputs = [save(tmp_path / "street.png"), save(tmp_path / "street_labels.png", 1)]
    truth = inputs[1].read_bytes()
    with pytest.raises(InputError, match=r"would overwrite the input .*street_labels\.png"):
        label_files(segmenter, inputs, tmp_path)
    assert inputs[1].read_bytes() == truth


@pytest.mark.parametrize("blocked", ["b_labels.png", "b_overlay.png", "c_labels", "c_overlay.mp4"])
def test_something_else_in_the_place_of_a_result_is_that_inputs_failure(
    segmenter: Segmenter, tmp_path: Path, blocked: str
) -> None:
    inputs = [save(tmp_path / "a.png"), save(tmp_path / "b.png"), save_video(tmp_path / "c.mp4", frames=2)]
    inputs.append(save(tmp_path / "d.png"))
    (tmp_path / "out" / blocked / "kept").mkdir(parents=True)
    summary = label_files(segmenter, inputs, tmp_path / "out")
    assert "".join(Path(entry["input"]).stem for entry in summary.inputs) == "abcd".replace(blocked[0], "")
    (failure,) = summary.failures
    assert failure["input"] == str(next(path for path in inputs if path.stem == blocked[0]))
    assert f"cannot write {tmp_path / 'out' / blocked}" in failure["error"]
    assert [path for path in os.listdir(tmp_path / "out") if path.startswith((blocked[0], "."))] == [blocked]
    assert (tmp_path / "out" / blocked / "kept").is_dir()


def test_frames_are_not_led_elsewhere_by_a_link(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c_labels").symlink_to(tmp_path / "elsewhere")
    summary = label_files(segmenter, [save_video(tmp_path / "c.mp4", frames=2)], tmp_path / "out")
    assert "c_labels is a link" in summary.failures[0]["error"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_write_error(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match="cannot write"):
        label_files(segmenter, [save(tmp_path / "street.png")], tmp_path / "out")


# Folders as they lie on disks


@settings(deadline=None, max_examples=200, derandomize=True)
@given(TREES)
def test_of_any_folder_each_good_picture_is_labelled_and_each_bad_one_recorded(
    segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory, tree: dict[str, str]
) -> None:
    place = tmp_path_factory.mktemp("tree")
    expected = planted(place / "in", tree)
    if not expected.names:
        with pytest.raises(InputError, match="no image or video in"):
            expand_inputs([place / "in"])
        return
    before = names(place / "in")
    files, failures = expand_inputs([place / "in"])
    assert ([path.name for path in files], failures) == (expected.names, [])
    summary = label_files(segmenter, files, place / "out").to_json()
    assert {Path(failure["input"]).name for failure in summary["failures"]} == expected.bad
    assert {Path(entry["input"]).name for entry in summary["inputs"]} == set(expected.good)
    for entry in summary["inputs"]:
        shown = PICTURES[expected.good[Path(entry["input"]).name]]
        np.testing.assert_array_equal(read_label_png(place / "out" / entry["labels"]), segmenter(shown))
    results = [entry[kind] for entry in summary["inputs"] for kind in ("labels", "overlay")]
    assert sorted(results) == names(place / "out")
    assert len({result.casefold() for result in results}) == len(results)
    stems = [Path(name).stem.casefold() for name in expected.names]
    for entry in summary["inputs"]:
        stem = Path(entry["input"]).stem
        assert (entry["labels"] == f"{stem}_labels.png") == (stems.count(stem.casefold()) == 1)
    assert names(place / "in") == before
