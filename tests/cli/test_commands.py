"""Each command on its main path, in this process, with real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import rtseg
from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.cli import cli, main
from rtseg.images.files import read_image
from rtseg.images.label_png import read_label_png
from rtseg.networks import registry
from rtseg.papers.tables import paper_tables
from tests.made_once import made_once

Run = Callable[..., str]
Refused = Callable[..., str]

COMMANDS = sorted(cli.commands)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that has to succeed, and return what it printed on standard output."""

    def succeed(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return captured.out

    return succeed


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:

    def export(folder: Path) -> None:
        path = folder / "affnet.onnx"
        with pytest.raises(SystemExit) as ended:
            main(["export", "affnet", "--classes", "streets", "--resolution", "64x96", "-o", str(path)])
        assert ended.value.code == 0

    return made_once(tmp_path_factory, "affnet-of-the-streets", export) / "affnet.onnx"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_a_command_explains_itself_with_an_example(run: Run, command: str, option: str) -> None:
    text = run(command, option)
    assert text.startswith("Usage: rtseg")
    assert "\n  Examples:\n" in text


def test_networks_prints_a_row_for_each_network_and_how_to_read_more(run: Run) -> None:
    lines = run("networks").splitlines()
    named = [line.split()[1] for line in lines if line.startswith("│")]
    assert named == registry.network_names()
    assert "1,619,894" in next(line for line in lines if " affnet " in line)
    assert lines[-1].endswith("rtseg networks NAME")


def test_networks_says_in_the_list_that_of_haff_only_the_abstract_is_known(run: Run) -> None:
    row = next(line for line in run("networks", "haff").splitlines() if line.startswith("│"))
    assert "haff" in row and "abstract only" in row


def test_networks_tells_all_of_those_that_are_named(run: Run) -> None:
    text = run("networks", "affnet", "haff")
    assert "2 networks" in text
    assert "inferred" in text and "fusion = concat+ewa" in text
    assert "AFFNet, Table VI" in text and "110 FPS" in text


def test_networks_prints_json_of_those_that_are_named(run: Run) -> None:
    (facts,) = json.loads(run("networks", "haff", "--json"))
    assert (facts["name"], facts["at_hand"]) == ("haff", "abstract only")
    assert [(claim["fps"], claim["miou_percent"]) for claim in facts["claims"]] == [(110, 74.12)]


def test_networks_refuses_a_mistyped_name_with_the_closest_one(refused: Refused) -> None:
    assert refused("networks", "afnet").endswith("Try: use 'affnet'")


def test_networks_prints_json_with_what_is_stated_and_what_is_inferred(run: Run) -> None:
    facts = {
        entry["name"]: entry for entry in json.loads(run("networks", "affnet", "--resolution", "1024x2048", "--json"))
    }
    assert facts["affnet"]["resolution"] == "1024x2048"
    assert facts["affnet"]["macs"] == pytest.approx(4 * 5.23e9, rel=0.01)
    assert facts["affnet"]["stated"] and facts["affnet"]["inferred"]


def test_networks_counts_no_macs_where_a_size_does_not_fit_a_network(run: Run) -> None:
    printed = run("networks", "affnet", "s2fpn18", "--resolution", "100x100", "--json")
    facts = {entry["name"]: entry for entry in json.loads(printed)}
    assert facts["affnet"]["macs"] is None
    assert facts["s2fpn18"]["macs"] > 0


def test_export_prints_the_path_it_wrote(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "affnet.onnx"
    assert run("export", "affnet", "--resolution", "64x64", "-o", path).strip() == str(path)
    assert read_manifest(path, kind="onnx").output.interface == "logits"


def test_export_names_the_file_by_what_is_inside(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("export", "affnet", "--classes", "camvid", "--resolution", "64x64", "--interface", "labels")
    assert (tmp_path / "affnet-camvid-64x64.labels.onnx").is_file()


def test_export_records_the_parity_it_measured(run: Run, tmp_path: Path) -> None:
    printed = json.loads(
        run("export", "affnet", "--resolution", "64x64", "--images", 3, "-o", tmp_path / "a.onnx", "--json")
    )
    inputs = printed["manifest"]["details"]["parity"]["inputs"]
    pictures = ["picture 1", "picture 2", "picture 3"]
    assert [entry["input"] for entry in inputs] == ["random input", "large input of both signs", *pictures]
    assert all(entry["relative_difference"] < 1e-3 for entry in inputs)


def test_scenes_are_a_camvid_folder_that_validate_takes(run: Run, artifact: Path, tmp_path: Path) -> None:
    run("scenes", tmp_path, "--resolution", "64x96", "--count", 2)
    facts = json.loads(run("validate", artifact, "--data", f"camvid:{tmp_path}", "--json"))
    assert facts["pictures"] == 2
    assert 0 <= facts["miou"] <= 1


def test_run_writes_label_maps_overlays_and_a_summary(run: Run, artifact: Path, tmp_path: Path) -> None:
    run("scenes", tmp_path / "scenes", "--resolution", "50x70", "--count", 2)
    summary = json.loads(run("run", artifact, tmp_path / "scenes" / "val", "-o", tmp_path / "out", "--json"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "summary.json",
        "val_0000_labels.png",
        "val_0000_overlay.png",
        "val_0001_labels.png",
        "val_0001_overlay.png",
    ]
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(summary["class_share"].values()) == pytest.approx(1)
    assert read_label_png(tmp_path / "out" / "val_0000_labels.png").shape == (50, 70)
    assert read_image(tmp_path / "out" / "val_0000_overlay.png").shape == (50, 70, 3)


def test_validate_prints_every_class_and_the_device(run: Run, artifact: Path) -> None:
    text = run("validate", artifact, "--data", "streets:64x96", "--limit", 2)
    assert "pedestrian" in text
    assert "computed on CPU" in text


def test_bench_of_an_artifact_prints_its_boundaries_and_says_cpu(run: Run, artifact: Path) -> None:
    rows = [line.split() for line in run("bench", artifact, "--seconds", 0.1).splitlines()]
    table = [row for row in rows if row[:2] == ["affnet", "random"]]
    assert [row[2:4] for row in table] == [["engine", "CPU"], ["frame", "CPU"]]


@pytest.mark.slow
def test_bench_without_arguments_times_every_registered_network(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    monkeypatch.setattr(registry, "_SPECS", {name: registry.network_spec(name) for name in ("fast_scnn", "affnet")})
    result = json.loads(run("bench", "--resolution", "64x96", "--seconds", 0.1, "--json"))
    timed = [(row["network"], row["boundary"]) for row in result["rows"]]
    boundaries = ("network", "engine", "frame")
    assert timed == [(network, boundary) for network in registry.network_names() for boundary in boundaries]


def test_bench_runs_a_papers_table_at_the_boundary_of_papers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path))
    command = ("bench", "--table", "haff-abstract", "--resolution", "64x64", "--classes", "streets", "--seconds", 0.1)
    result = json.loads(run(*command, "--json"))
    assert [(row["network"], row["boundary"], row["resolution"]) for row in result["rows"]] == [
        ("haff", "network", "64x64")
    ]
    assert result["lines"][0]["cells"][1]["paper"] == 110
    assert result["classes"] == 11
    text = run(*command)
    assert "GPU not stated; here: CPU" in text
    assert "hybrid attention network" in text


def test_bench_lists_the_papers_tables(run: Run) -> None:
    assert [entry["id"] for entry in json.loads(run("bench", "--tables", "--json"))] == list(paper_tables())
    assert "speed at three input sizes" in run("bench", "--tables")


def test_bench_refuses_a_table_it_does_not_know_or_that_has_no_speed(refused: Refused) -> None:
    assert refused("bench", "--table", "afnet-6").endswith("Try: use 'affnet-6'")
    assert "prints neither ms nor FPS" in refused("bench", "--table", "affnet-4")
    assert refused("bench", "--table", "haff-abstract").endswith("Try: pass --resolution 512x1024")


@pytest.mark.parametrize("other", [("F.onnx",), ("--network", "affnet"), ("--checkpoint", "F")])
def test_bench_takes_a_table_or_something_of_ones_own(misused: Refused, other: tuple[str, ...]) -> None:
    assert "brings its own networks" in misused("bench", "--table", "affnet-6", *other)


def test_bench_takes_a_table_or_the_list_of_them(misused: Refused) -> None:
    assert misused("bench", "--table", "affnet-6", "--tables").startswith("Error: ")


def test_bench_keeps_the_rule_the_environment_and_every_sample(run: Run, artifact: Path) -> None:
    result: dict[str, Any] = json.loads(run("bench", artifact, "--seconds", 0.1, "--json"))
    assert result["rule"]["min_samples"] == 6
    assert result["environment"]["cpu"]["available_cores"] >= 1
    assert all(len(row["samples_ns"]) == row["summary"]["count"] for row in result["rows"])


def test_train_export_and_validate_make_one_way(run: Run, tmp_path: Path) -> None:
    for split, count in (("train", 8), ("val", 3)):
        run("scenes", tmp_path, "--split", split, "--resolution", "64x96", "--count", count)
    data = f"camvid:{tmp_path}"
    recipe = tmp_path / "tiny.toml"
    recipe.write_text('network = "affnet"\ndata = "camvid"\nepochs = 2\nbatch_size = 4\ncrop = "64x64"\n')
    checkpoint, exported = tmp_path / "affnet.safetensors", tmp_path / "affnet.onnx"
    run("train", "--recipe", recipe, "--data", data, "-o", checkpoint)
    run("export", "--checkpoint", checkpoint, "--resolution", "64x96", "-o", exported)
    facts = json.loads(run("validate", exported, "--data", data, "--json"))
    trained = read_manifest(checkpoint, kind="checkpoint")
    assert facts["miou"] == pytest.approx(trained.details.validation_miou, abs=1e-3)
    assert read_manifest(exported, kind="onnx").parent_sha256 == trained.sha256


def test_doctor_names_every_part(run: Run) -> None:
    facts = json.loads(run("doctor", "--json"))
    assert [finding["name"] for finding in facts["findings"]] == [
        "native core",
        "opencv",
        "onnxruntime",
        "openvino",
        "torch",
        "tensorrt",
        "tensorrt-rtx",
        "cuda",
        "pycuda",
    ]


def test_doctor_shows_the_command_that_mends_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CORE", "numpy")
    assert "> start it without RTSEG_CORE=numpy" in run("doctor")


def test_the_labels_of_run_do_not_depend_on_the_interface(run: Run, artifact: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.onnx"
    run("export", "affnet", "--classes", "streets", "--resolution", "64x96", "--interface", "scores", "-o", scores)
    run("scenes", tmp_path / "scenes", "--resolution", "64x96", "--count", 1)
    maps = []
    for path in (artifact, scores):
        run("run", path, tmp_path / "scenes" / "val", "-o", tmp_path / path.stem)
        maps.append(read_label_png(tmp_path / path.stem / "val_0000_labels.png"))
    assert np.mean(maps[0] == maps[1]) > 0.999


def test_a_manifest_lies_beside_every_artifact(artifact: Path) -> None:
    assert manifest_path(artifact).is_file()


def test_the_commands_are_those_of_the_group() -> None:
    assert COMMANDS == [
        "audit",
        "bench",
        "build",
        "calibrate",
        "doctor",
        "drift",
        "export",
        "import-checkpoint",
        "import-onnx",
        "networks",
        "quantize",
        "run",
        "scenes",
        "sensitivity",
        "train",
        "validate",
    ]
    assert all(isinstance(command, click.Command) for command in cli.commands.values())


def test_every_stage_of_the_command_line_is_a_function_of_the_package() -> None:
    without = {"doctor", "networks"}
    assert {name.replace("-", "_") for name in COMMANDS if name not in without} <= set(rtseg.__all__)
