"""`rtseg.bench`: what goes together, accuracy beside speed, and a run that is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtseg
from rtseg.datasets.registry import class_spec
from rtseg.errors import SpecError, UnknownNameError
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import network_with_random_weights
from rtseg.pipeline.benchmark_stage import BenchmarkInterrupted
from rtseg.specs import Resolution
from tests.observers import Interrupting, Recorder

Cli = Callable[..., Any]
SMALL: dict[str, Any] = {"networks": "fast_scnn", "resolution": "64x96", "seconds": 0.05, "runners": "onnxruntime"}


@pytest.fixture(autouse=True)
def cache_of_its_own(cache: Path) -> None:
    """Every test makes its own files, but for the exports of those that take exports_made."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight training pictures and three others in CamVid's layout."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, count in (("train", 8), ("val", 3)):
        rtseg.scenes(folder, split=split, resolution="128x192", count=count)
    return f"camvid:{folder}"


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a checkpoint."""
    return tmp_path_factory.mktemp("nothing")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precisions": "fp8"}, "unknown precision"),
        ({"runners": "tensorflow"}, "unknown runner"),
        ({"networks": "affnet", "resolution": "65x96"}, "affnet needs sides that are multiples of 8"),
        ({"networks": "afnet"}, "Try: use 'affnet'"),
        ({"table": "affnet-6"}, "a paper's table brings its own networks"),
    ],
)
def test_a_mistake_ends_the_run_before_anything_is_made(arguments: dict[str, Any], message: str, cache: Path) -> None:
    with pytest.raises((SpecError, UnknownNameError), match=message):
        rtseg.bench(**{**SMALL, **arguments})
    assert not cache.exists()


def test_files_bring_their_own_precision(exported: Path) -> None:
    with pytest.raises(SpecError, match="files bring their own network, classes, precision"):
        rtseg.bench(exported, precisions="int8")


def test_a_paper_of_other_classes_than_the_data_names_the_way_out() -> None:
    with pytest.raises(SpecError, match=r"table affnet-6 has other classes than the data.*with --classes streets"):
        rtseg.bench(table="affnet-6", data="streets")


def test_the_files_of_a_benchmark_are_made_once_and_found_again(cache: Path) -> None:
    made = []
    for _ in range(2):
        rows = rtseg.bench(**SMALL, classes="camvid").rows
        assert [row["boundary"] for row in rows] == ["network", "engine", "frame"]
        made.append({path: path.stat().st_ino for path in cache.rglob("*.onnx")})
    assert made[0] == made[1] and len(made[0]) == 2


def test_a_damaged_file_in_the_cache_is_made_again(exports_made: Path) -> None:
    damaged, whole = sorted(exports_made.rglob("*.onnx"))
    before = damaged.stat().st_size, whole.stat().st_ino
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert rtseg.bench(**SMALL, classes="camvid").is_complete
    assert (damaged.stat().st_size, whole.stat().st_ino) == before


def test_two_networks_of_one_name_take_turns_and_say_their_files(tmp_path: Path) -> None:
    given = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(given):
        network = network_with_random_weights("fast_scnn", class_spec("camvid"), seed=seed)
        save_checkpoint(path, network, Resolution(64, 96))
    rows = rtseg.bench(**{**SMALL, "networks": given}).rows
    assert [row["file"] for row in rows] == [path.name for path in given] * 3
    assert all(row["vs_first"] is not None for row in rows)


def test_a_damaged_file_among_others_is_passed_over_with_a_warning(exported: Path, tmp_path: Path) -> None:
    for path in (exported, Path(f"{exported}.json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged, recorder = tmp_path / exported.name, Recorder()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    result = rtseg.bench([exported, damaged], seconds=0.05, observer=recorder)
    assert {row["file"] for row in result.rows} == {exported.name}
    assert recorder.warnings == [f"skipped: {reason}" for reason in result.skipped] and len(result.skipped) == 1
    assert not result.is_complete


def test_a_file_that_is_not_there_costs_the_exit_code_and_no_row(exported: Path, cli: Cli) -> None:
    told = cli("bench", exported, "nowhere.onnx", "--seconds", "0.05", "--json")
    assert told.code == 1
    assert told.err.splitlines()[-1] == "1 of 2 files were skipped"
    document = json.loads(told.out)
    assert [row["summary"] is None for row in document["rows"]] == [False, False]
    assert "cannot read nowhere.onnx" in document["skipped"][0]


def test_a_cache_that_cannot_be_written_costs_its_own_rows_alone(exports_made: Path) -> None:
    (exports_made / "quantized").write_text("no folder")
    result = rtseg.bench(**SMALL, classes="camvid", precisions=("fp32", "int8"))
    assert [row["summary"] is None for row in result.rows] == [False, True] * 3


def test_one_file_is_made_for_each_table_and_found_again(exports_made: Path) -> None:
    made = []
    for precision in ("int8", "fp16", "int8"):
        rtseg.bench(**SMALL, classes="camvid", precisions=precision)
        made.append({path: path.stat().st_ino for path in exports_made.rglob("quantized/*.onnx")})
    assert [len(files) for files in made] == [2, 4, 4]
    assert made[1] == made[2]


@pytest.mark.parametrize("given", [None, ["onnxruntime"], {"onnxruntime"}, (name for name in ["onnxruntime"])])
def test_names_come_in_any_collection_and_none_is_none_of_them(exported: Path, given: Any) -> None:
    assert rtseg.bench(exported, runners=given, seconds=0.05).is_complete


# Accuracy beside speed


def test_networks_of_other_classes_than_the_data_are_refused_before_anything_is_made(
    pictures: str, cache: Path
) -> None:
    with pytest.raises(SpecError, match=r"networks have other classes than the data.*Try: pass --classes camvid"):
        rtseg.bench(**SMALL, classes="cityscapes", data=pictures)
    assert not cache.exists()


def test_own_data_whose_classes_differ_are_told_with_the_list_to_pass(cache: Path, tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder / "val").mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / folder / "val" / "a.png"), np.ones((4, 4), np.uint8))
    (tmp_path / "classes.toml").write_text('names = ["grass", "path"]')
    with pytest.raises(SpecError, match=r"got own with 2 classes; .* Try: pass --classes FILE\.toml"):
        rtseg.bench(**SMALL, classes="2", data=f"own:{tmp_path}")
    assert not cache.exists()


def test_shipped_weights_are_taken_with_data_and_their_miou_is_that_of_validate_to_the_last_digit(
    pictures: str, cache: Path
) -> None:
    rows = rtseg.bench(**{**SMALL, "networks": "affnet", "resolution": "128x192"}, data=pictures).rows
    assert {row["weights"] for row in rows} == {"trained on camvid, 110 epochs"}
    measured = {row["artifact_sha256"]: row["miou"] for row in rows}
    validated = [rtseg.validate(path, pictures) for path in cache.rglob("exports/*.onnx")]
    assert measured == {result.ran.artifact.manifest.sha256: result.miou for result in validated}


@pytest.mark.usefixtures("exports_made")
def test_without_weights_for_a_network_its_accuracy_stays_empty(pictures: str, nothing: Path) -> None:
    recorder = Recorder()
    rows = rtseg.bench(**SMALL, data=pictures, checkpoints=nothing, observer=recorder).rows
    assert {row["miou"] for row in rows} == {None}
    assert any(note.endswith("no mIoU, the weights are random") for note in recorder.notes)


@pytest.mark.usefixtures("exports_made")
def test_int8_is_calibrated_on_the_training_pictures_of_the_data(pictures: str, nothing: Path, cache: Path) -> None:
    rtseg.bench(**SMALL, data=pictures, checkpoints=nothing, precisions="int8")
    tables = [json.loads(path.read_text())["details"]["table"] for path in cache.rglob("quantized/*.json")]
    assert [(table["data"], table["split"], table["pictures"]) for table in tables] == [("camvid", "train", 8)] * 2


@pytest.mark.usefixtures("exports_made")
def test_data_without_a_training_split_are_calibrated_on_and_that_is_said(
    pictures: str, nothing: Path, tmp_path: Path, cache: Path
) -> None:
    source = Path(pictures.partition(":")[2])
    for name in ("val.txt", "val", "valannot"):
        (tmp_path / name).symlink_to(source / name)
    recorder, data = Recorder(), f"camvid:{tmp_path}"
    rtseg.bench(**SMALL, data=data, checkpoints=nothing, precisions="int8", observer=recorder)
    tables = [json.loads(path.read_text())["details"]["table"] for path in cache.rglob("quantized/*.json")]
    assert {table["split"] for table in tables} == {"val"}
    assert sum("INT8 ranges are measured on the split val" in note for note in recorder.notes) == 1


@pytest.mark.usefixtures("exports_made")
def test_without_data_ranges_are_of_rendered_pictures_and_that_is_said_once() -> None:
    recorder = Recorder()
    rtseg.bench(**SMALL, classes="camvid", precisions="int8", observer=recorder)
    assert sum("rendered pictures" in note for note in recorder.notes) == 1
    assert recorder.warnings == []


# A run that is stopped


@pytest.mark.usefixtures("exports_made")
def test_what_was_done_when_it_was_stopped_is_not_lost() -> None:
    with pytest.raises(BenchmarkInterrupted) as stopped:
        rtseg.bench(resolution="64x96", classes="camvid", seconds=0.05, runners="onnxruntime", observer=Interrupting(5))
    rows = stopped.value.result.rows
    assert [(row["network"], row["boundary"]) for row in rows] == [
        (rows[0]["network"], name) for name in ("network", "engine", "frame")
    ]


@pytest.mark.usefixtures("exports_made")
def test_named_networks_that_are_stopped_keep_a_finished_boundary_and_resumed_they_do_the_rest() -> None:
    with pytest.raises(BenchmarkInterrupted) as stopped:
        rtseg.bench(**SMALL, classes="camvid", observer=Interrupting(3.5))
    assert [row["boundary"] for row in stopped.value.result.rows] == ["network"]
    recorder = Recorder()
    rows = rtseg.bench(**SMALL, classes="camvid", resume=True, observer=recorder).rows
    assert [row["boundary"] for row in rows] == ["network", "engine", "frame"]
    assert rows[0] == stopped.value.result.rows[0]
    assert "1 of 2 groups were measured before" in recorder.notes


@pytest.mark.usefixtures("exports_made")
def test_the_command_prints_what_was_done_and_how_to_go_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = rtseg.bench(**SMALL, classes="camvid")

    def interrupted(*_: object, **__: object) -> None:
        raise BenchmarkInterrupted(stopped, resumable=True)

    monkeypatch.setattr(rtseg, "bench", interrupted)
    told = cli("bench", "--network", "fast_scnn", "--resolution", "64x96")
    assert told.code == 130
    assert "fast_scnn" in told.out
    said = "stopped: run the same command with --resume to continue"
    assert list(filter(None, told.err.splitlines())) == [said, "rtseg: error: interrupted"]


def test_files_are_not_resumed(exported: Path, misused: Callable[..., str]) -> None:
    with pytest.raises(SpecError, match="nothing to resume"):
        rtseg.bench(exported, resume=True)
    assert "nothing to resume" in misused("bench", exported, "--resume")
