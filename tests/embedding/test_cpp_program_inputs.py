"""What rtseg-segment makes of files that are damaged, turned, lists of others, or cannot be written; and of Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import rtseg
from tests.embedding.cpp_library import GOLDEN, PLAIN_ENVIRONMENT, CppLibrary

MODEL = GOLDEN / "fp32-logits.onnx"
ORIENTATION = 0x0112
PICTURE = cv2.resize(np.random.default_rng(1).integers(0, 256, (5, 6, 3), np.uint8), (64, 41))


def labelled(cpp_library: CppLibrary, folder: Path, *inputs: Path) -> tuple[dict[str, object], list[dict[str, str]]]:
    """Return the inputs that got labels, by name and with their entries, and the failures."""
    done = cpp_library.run("rtseg-segment", MODEL, *inputs, "-o", folder, "--threads", "1", "--json")
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    summary = json.loads(done.stdout)
    assert done.returncode == bool(summary["failures"])
    return {Path(entry["input"]).name: entry for entry in summary["inputs"]}, summary["failures"]


def parts_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_pictures_are_turned_as_python_turns_them(cpp_library: CppLibrary, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for orientation in range(1, 10):  # 9 is none
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        for suffix in ("jpg", "png", "tif"):
            Image.fromarray(PICTURE).save(pictures / f"{orientation}{suffix}.{suffix}", exif=exif)
        Image.fromarray(PICTURE).save(pictures / f"{orientation}webp.webp", exif=exif, lossless=True)
        data, xmp = (pictures / f"{orientation}jpg.jpg").read_bytes(), b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
        before = b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp
        (pictures / f"{orientation}xmp.jpg").write_bytes(data[:2] + before + data[2:])
    rtseg.run(MODEL, pictures, tmp_path / "python", runner="openvino", threads=1)
    assert labelled(cpp_library, tmp_path / "cpp", pictures)[1] == []
    for path in sorted(pictures.iterdir()):
        name = f"{path.stem}_labels.png"
        first, second = (cv2.imread(str(tmp_path / folder / name)) for folder in ("python", "cpp"))
        np.testing.assert_array_equal(first, second, err_msg=name)


def test_the_range_of_a_ppm_in_plain_text_is_that_of_its_header(cpp_library: CppLibrary, tmp_path: Path) -> None:
    picture = tmp_path / "plain.ppm"
    picture.write_text("P3\n1 2\n15\n1 2 3\n4 5 15\n")
    scaled = np.array([[[1, 2, 3]], [[4, 5, 15]]], np.uint8) * 17
    with rtseg.load(MODEL, runner="openvino", threads=1) as segmenter:
        _, overlay = segmenter.with_overlay(scaled)
    labelled(cpp_library, tmp_path / "out", picture)
    written = cv2.imread(str(tmp_path / "out" / "plain_overlay.png"))[..., ::-1]
    np.testing.assert_array_equal(written, overlay)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_was_cut_off_is_no_picture(progressive: bool, cpp_library: CppLibrary, tmp_path: Path) -> None:
    whole, cut, longer = tmp_path / "whole.jpg", tmp_path / "cut.jpg", tmp_path / "longer.jpg"
    Image.fromarray(PICTURE).save(whole, progressive=progressive)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    longer.write_bytes(data + b"what a camera keeps behind it")
    found, failures = labelled(cpp_library, tmp_path / "out", whole, cut, longer)
    assert set(found) == {"whole.jpg", "longer.jpg"}
    assert "got a JPEG without its end" in failures[0]["error"] and len(failures) == 1


def test_what_python_takes_for_no_picture_is_none(cpp_library: CppLibrary, tmp_path: Path) -> None:
    named = [tmp_path / "jpeg2000.png", tmp_path / "hdr.png", tmp_path / "pam.ppm"]
    Image.fromarray(PICTURE).save(named[0], format="JPEG2000")
    named[1].write_bytes(cv2.imencode(".hdr", PICTURE.astype(np.float32))[1].tobytes())
    named[2].write_bytes(b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n123456")
    good = tmp_path / "good.png"
    cv2.imwrite(str(good), PICTURE)
    found, failures = labelled(cpp_library, tmp_path / "out", *named, good)
    assert set(found) == {"good.png"} and len(failures) == 3


def test_one_input_that_cannot_be_costs_the_others_nothing(cpp_library: CppLibrary, tmp_path: Path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    encoded = cv2.imencode(".png", PICTURE)[1].tobytes()
    for name in ("good.png", "taken.png", "n" * 250 + ".png"):
        (pictures / name).write_bytes(encoded)
    (pictures / "loop.png").symlink_to("loop.png")
    (pictures / "nowhere.png").symlink_to("not there")
    (out / "taken_labels.png").mkdir(parents=True)
    found, failures = labelled(cpp_library, out, pictures)
    assert set(found) == {"good.png"}
    assert {Path(failure["input"]).name[:8] for failure in failures} == {"loop.png", "nowhere.", "taken.pn", "nnnnnnnn"}
    # of what got no label map no overlay is left either
    assert {path.name for path in out.iterdir()} == {
        *("good_labels.png", "good_overlay.png", "summary.json", "taken_labels.png")
    }


def movie(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, size)
    for _ in range(frames):
        writer.write(cv2.resize(PICTURE, size))
    writer.release()
    return path


def test_a_list_of_other_files_is_no_video(cpp_library: CppLibrary, tmp_path: Path) -> None:
    clip = movie(tmp_path / "clip.avi", 2)
    listed, playlist = tmp_path / "listed.mp4", tmp_path / "playlist.avi"
    listed.write_text("ffconcat version 1.0\nfile clip.avi\n")
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n"  # which FFmpeg would follow
    )
    found, failures = labelled(cpp_library, tmp_path / "out", clip, listed, playlist)
    assert set(found) == {"clip.avi"}
    assert [failure["error"].partition("; ")[2] for failure in failures] == ["got no container of frames"] * 2


def test_a_video_that_ends_early_is_labelled_and_told_of(cpp_library: CppLibrary, tmp_path: Path) -> None:
    clip = movie(tmp_path / "clip.avi", 6)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 3 // 4])
    found, failures = labelled(cpp_library, tmp_path / "out", clip)
    frames = len(list((tmp_path / "out" / "clip_labels").iterdir()))
    assert 0 < frames < 6 and found["clip.avi"]["frames"] == frames
    assert f"ends early: {len(data) * 3 // 4} bytes of " in failures[0]["error"]


def test_frames_that_no_mp4_holds_cost_the_others_nothing(cpp_library: CppLibrary, tmp_path: Path) -> None:
    wide, clip = movie(tmp_path / "wide.avi", 1, (9000, 16)), movie(tmp_path / "clip.avi", 1)
    found, failures = labelled(cpp_library, tmp_path / "out", wide, clip)
    assert set(found) == {"clip.avi"}
    assert "got 16x9000; expected sides of 2 to 8191 pixels" in failures[0]["error"]
    assert parts_in(tmp_path) == []


def test_an_interrupt_leaves_no_half_file(cpp_library: CppLibrary, tmp_path: Path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "0.png"), cv2.resize(PICTURE, (1280, 960)))
    for number in range(1, 2000):
        os.link(pictures / "0.png", pictures / f"{number}.png")
    command = [cpp_library.program("rtseg-segment"), MODEL, pictures, "-o", out, "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=PLAIN_ENVIRONMENT) as process:
        while not (out / "0_labels.png").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert (process.returncode, told) == (130, "rtseg-segment: interrupted\n")
    assert parts_in(out) == []


def test_output_that_cannot_be_printed_is_an_error(cpp_library: CppLibrary, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), PICTURE)
    with open("/dev/full", "w") as full:
        command = [cpp_library.program("rtseg-segment"), MODEL, picture, "-o", tmp_path / "out", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=PLAIN_ENVIRONMENT)
    assert done.returncode == 1 and "not all of the output could be written" in done.stderr


def test_a_limit_on_the_size_of_files_is_an_error_of_writing(cpp_library: CppLibrary, tmp_path: Path) -> None:
    picture, out = tmp_path / "a.png", tmp_path / "out"
    cv2.imwrite(str(picture), PICTURE)
    done = subprocess.run(
        [cpp_library.program("rtseg-segment"), MODEL, picture, "-o", out],
        capture_output=True,
        text=True,
        env=PLAIN_ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"rtseg-segment: error: cannot write {out}/a_overlay.png. Try: choose another folder, or free some space\n"
    )
    assert list(out.iterdir()) == []
