"""`rtseg calibrate`, in this process and as processes that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.calibration.image_set import ImageSet
from rtseg.calibration.table import CalibrationTable

Cli = Callable[..., Any]
Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]
DATA = "streets:64x64"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RTSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "out" / "table.json"


def done(outcome: Any) -> Any:
    """Return the outcome of a command that has to succeed."""
    assert outcome.code == 0, outcome.err
    return outcome


def write_pictures(folder: Path, *images: np.ndarray) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


def noise(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def test_it_writes_a_table_and_tells_method_pictures_tensors_and_convergence(
    cli: Cli, exported: Path, table: Path
) -> None:
    outcome = done(cli("calibrate", exported, "--data", DATA, "--images", 8, "-o", table))
    found = CalibrationTable.read(table)
    assert (found.method, found.percentile, found.data, found.split) == ("percentile", 99.99, DATA, "train")
    assert len(found.pictures) == 8
    assert f"percentile 99.99: {len(found.ranges)} tensors from 8 pictures of {DATA} train" in outcome.out
    assert "after 2 pictures" in outcome.out and "after 4 pictures" in outcome.out
    assert "threshold / greatest magnitude" in outcome.out
    assert outcome.err.splitlines()[-1] == f"wrote {table}"


def test_json_has_what_the_text_has_and_standard_output_nothing_else(cli: Cli, exported: Path, table: Path) -> None:
    outcome = done(cli("calibrate", exported, "--data", DATA, "--images", 4, "--method", "mse", "-o", table, "--json"))
    facts = json.loads(outcome.out)
    assert facts["table"] == str(table)
    assert (facts["method"], facts["percentile"], facts["pictures"]) == ("mse", None, 4)
    assert facts["tensors"] == len(CalibrationTable.read(table).ranges)
    assert facts["seconds"] > 0
    assert facts["convergence"]["settled"] is False


def test_ranges_that_had_not_settled_are_a_warning_that_says_what_to_do(cli: Cli, exported: Path, table: Path) -> None:
    outcome = done(cli("calibrate", exported, "--data", DATA, "--images", 2, "-o", table))
    assert "warning: the ranges had not settled with 2 pictures" in outcome.err
    assert "from 1 on, the median moved by " in outcome.err and "Try: use 4 pictures" in outcome.err


def test_minmax_clips_nothing_and_says_so(cli: Cli, exported: Path, table: Path) -> None:
    outcome = done(cli("calibrate", exported, "--data", DATA, "--images", 2, "--method", "minmax", "-o", table))
    assert "no tensor is clipped" in outcome.out


def test_another_method_on_the_same_pictures_computes_nothing_again(cli: Cli, exported: Path, tmp_path: Path) -> None:
    command = ("calibrate", exported, "--data", DATA, "--images", 3)
    done(cli(*command, "-o", tmp_path / "a.json"))
    outcome = done(cli(*command, "--method", "entropy", "-o", tmp_path / "b.json"))
    assert "all 3 pictures were counted by an earlier run: nothing is computed again" in outcome.err
    shutil.rmtree(tmp_path / "cache")
    done(cli(*command, "--method", "entropy", "-o", tmp_path / "fresh.json"))
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "fresh.json").read_bytes()


def test_a_folder_of_pictures_serves_and_says_when_it_has_too_few(cli: Cli, exported: Path, table: Path) -> None:
    folder = write_pictures(table.parents[1] / "pictures", noise(), noise(80, 90))
    outcome = done(cli("calibrate", exported, "--data", f"images:{folder}", "-o", table))
    found = CalibrationTable.read(table)
    assert (found.data, found.split, [picture.name for picture in found.pictures]) == (
        "images",
        "",
        sorted(["0.png", "1.png"], key={p.name: p.sha256 for p in found.pictures}.get),
    )
    assert "there are only 2 pictures, not 64: all of them are taken" in outcome.err
    assert "Try: use a larger set of pictures" in outcome.err and "--images" not in outcome.err
    assert str(folder) not in table.read_text()


def test_a_saved_set_calibrates_on_exactly_its_pictures(cli: Cli, exported: Path, tmp_path: Path) -> None:
    first, again, kept = tmp_path / "first.json", tmp_path / "again.json", tmp_path / "sets" / "set.json"
    done(cli("calibrate", exported, "--data", DATA, "--split", "val", "--images", 3, "--save-set", kept, "-o", first))
    assert len(ImageSet.read(kept).pictures) == 3
    outcome = done(cli("calibrate", exported, "--data", DATA, "--set", kept, "-o", again))
    assert "Try: use a larger set of pictures" in outcome.err  # as --images cannot be said beside --set
    assert first.read_bytes() == again.read_bytes()


# Killed and interrupted


def wait_for_state(running: subprocess.Popen[str], cache: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(cache.glob("calibrations/[!.]*.state")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=["kill", "interrupt"])
def test_a_stopped_run_leaves_no_table_and_the_next_goes_on_to_the_same_one(
    by: signal.Signals, cli: Cli, started: Cli, exported: Path, tmp_path: Path, cache: Path, files_in: Listing
) -> None:
    output = tmp_path / "out"
    random = np.random.default_rng(0)
    folder = write_pictures(tmp_path / "many", *random.integers(0, 256, (80, 64, 64, 3), np.uint8))
    command = ("calibrate", exported, "--data", f"images:{folder}", "--images", 80, "--threads", 1, "-o")
    running = started(*command, output / "table.json")
    wait_for_state(running, cache)
    running.send_signal(by)
    _, err = running.communicate(timeout=60)
    assert files_in(output) == []
    if by == signal.SIGINT:
        assert running.returncode == 130
        assert "of 80 pictures are counted; the same command goes on from there" in err
    else:
        assert running.returncode == -signal.SIGKILL
    outcome = done(cli(*command, output / "table.json"))
    assert "going on after " in outcome.err and "of 80 pictures, counted by an earlier run" in outcome.err
    shutil.rmtree(cache)
    outcome = done(cli(*command, output / "fresh.json"))
    assert "going on" not in outcome.err
    assert (output / "table.json").read_bytes() == (output / "fresh.json").read_bytes()


# Bad input


def test_a_network_that_is_not_there_is_refused(refused: Refused, tmp_path: Path, table: Path) -> None:
    assert "cannot read" in refused("calibrate", tmp_path / "no.onnx", "--data", DATA, "-o", table)


def test_a_network_without_a_manifest_is_refused(refused: Refused, export_copy: Path, table: Path) -> None:
    manifest_path(export_copy).unlink()
    assert "else copy both, the file and its manifest" in refused("calibrate", export_copy, "--data", DATA, "-o", table)


def test_an_int8_file_is_refused_with_the_command_for_the_right_one(
    refused: Refused, export_copy: Path, table: Path
) -> None:
    write_manifest(export_copy, replace(read_manifest(export_copy, kind="onnx"), precision="int8"))
    message = refused("calibrate", export_copy, "--data", DATA, "-o", table)
    assert "got int8" in message and message.endswith("Try: pass the FP32 file that rtseg export wrote")


def test_an_empty_folder_is_refused(refused: Refused, exported: Path, tmp_path: Path, table: Path) -> None:
    folder = write_pictures(tmp_path / "empty")
    assert "no picture in" in refused("calibrate", exported, "--data", f"images:{folder}", "-o", table)


def test_pictures_of_one_colour_are_refused_and_leave_nothing(
    refused: Refused, exported: Path, tmp_path: Path, table: Path, files_in: Listing
) -> None:
    folder = write_pictures(tmp_path / "black", np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 9, np.uint8))
    assert "none of the 2 pictures" in refused("calibrate", exported, "--data", f"images:{folder}", "-o", table)
    assert files_in(table.parent) == []


def test_pictures_far_too_small_are_refused_with_both_sizes(
    refused: Refused, exported: Path, tmp_path: Path, table: Path
) -> None:
    folder = write_pictures(tmp_path / "small", noise(20, 64))
    message = refused("calibrate", exported, "--data", f"images:{folder}", "-o", table)
    assert "0.png" in message and "got 20x64" in message and "64x96" in message


def test_a_set_with_a_picture_that_changed_is_refused_by_name(
    cli: Cli, refused: Refused, exported: Path, tmp_path: Path, table: Path
) -> None:
    folder, kept = write_pictures(tmp_path / "pictures", noise(), noise(70, 70)), tmp_path / "set.json"
    done(cli("calibrate", exported, "--data", f"images:{folder}", "--save-set", kept, "-o", table))
    table.unlink()
    cv2.imwrite(str(folder / "1.png"), noise(72, 72))
    command = ("calibrate", exported, "--data", f"images:{folder}", "--set", kept, "-o", table)
    assert "1.png is not the one that the image set names" in refused(*command)
    (folder / "1.png").unlink()
    assert "1 of the 2 pictures of the image set are missing; got no 1.png" in refused(*command)
    assert not table.exists()


@pytest.mark.parametrize("option", [("--images", 3), ("--split", "val")])
def test_a_set_leaves_nothing_to_choose(misused: Refused, exported: Path, table: Path, option: tuple[Any, ...]) -> None:
    assert "--set selects the pictures" in misused(
        "calibrate", exported, "--data", DATA, "--set", "s.json", *option, "-o", table
    )


def test_a_folder_has_no_splits(misused: Refused, exported: Path, table: Path) -> None:
    assert "no splits" in misused("calibrate", exported, "--data", "images:DIR", "--split", "val", "-o", table)


def test_a_percentile_for_another_method_is_wrong_usage(misused: Refused, exported: Path, table: Path) -> None:
    command = ("calibrate", exported, "--data", DATA, "--method", "mse", "--percentile", 99, "-o", table)
    assert "--percentile does not apply to --method mse" in misused(*command)


@pytest.mark.parametrize("percent", [0, 101])
def test_a_percentile_out_of_range_is_refused(refused: Refused, exported: Path, table: Path, percent: int) -> None:
    message = refused("calibrate", exported, "--data", DATA, "--percentile", percent, "-o", table)
    assert "the percentile is out of range" in message


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    refused: Refused, exported: Path, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file" / "table.json", tmp_path):
        assert "cannot write" in refused("calibrate", exported, "--data", DATA, "-o", output)
    assert "cannot write" in refused(
        *("calibrate", exported, "--data", DATA, "--save-set", tmp_path, "-o", tmp_path / "table.json")
    )
    assert not cache.exists() and not (tmp_path / "table.json").exists()


def test_an_output_that_would_overwrite_the_networks_manifest_is_refused(refused: Refused, export_copy: Path) -> None:
    before = manifest_path(export_copy).read_bytes()
    message = refused("calibrate", export_copy, "--data", DATA, "-o", manifest_path(export_copy))
    assert "would overwrite what belongs to" in message
    assert manifest_path(export_copy).read_bytes() == before


def test_table_and_set_need_two_files(refused: Refused, exported: Path, table: Path) -> None:
    command = ("calibrate", exported, "--data", DATA, "--images", 2, "--save-set", table, "-o", table)
    assert "would overwrite" in refused(*command)


@pytest.mark.skipif(os.name != "posix", reason="a full disk is made from /dev/full")
def test_a_full_disk_under_the_table_is_one_line(refused: Refused, exported: Path) -> None:
    assert "cannot write /dev/full/table.json" in refused(
        "calibrate", exported, "--data", DATA, "-o", "/dev/full/table.json"
    )
