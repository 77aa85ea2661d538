"""`rtseg build --runtime openvino`, and what every other command does with what it wrote."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.errors import SpecError, UnknownNameError
from rtseg.images.label_png import read_label_png
from rtseg.pipeline.engine_stages import OpenVinoBuildResult
from tests.conftest import Outcome

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

Cli = Callable[..., Outcome]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def stored(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What OpenVINO stores of the exported file; not to be changed."""
    made = rtseg.build(exported, tmp_path_factory.mktemp("stored") / "affnet.xml", runtime="openvino")
    return made.artifact.path


def test_the_command_prints_the_path_and_says_how_python_and_c_run_it(
    cli: Cli, export_copy: Path, tmp_path: Path
) -> None:
    outcome = cli("build", export_copy, "--runtime", "openvino")
    written = tmp_path / "copy.openvino.xml"
    assert (outcome.code, outcome.out) == (0, f"{written}\n")
    assert "the same bits as the ONNX file on 2 inputs" in outcome.err
    assert f"rtseg.load({str(written)!r})" in outcome.err
    assert f'rtseg_model_open("{written}", NULL, &model)' in outcome.err
    next_command = outcome.err[outcome.err.index("next: rtseg ") :].splitlines()[0].removeprefix("next: rtseg ")
    assert cli(*shlex.split(next_command), "--seconds", "0.02").code == 0


def test_json_has_both_files_and_the_manifest(cli: Cli, export_copy: Path, tmp_path: Path) -> None:
    outcome = cli("build", export_copy, "--runtime", "openvino", "-o", tmp_path / "m.xml", "--json")
    document = json.loads(outcome.out)
    assert document["path"] == str(tmp_path / "m.xml")
    assert document["weights"] == str(tmp_path / "m.bin")
    assert document["manifest"] == json.loads((tmp_path / "m.xml.json").read_text(encoding="utf-8"))


def test_the_stage_gives_its_own_result(export_copy: Path) -> None:
    made = rtseg.build(export_copy, runtime="openvino")
    assert isinstance(made, OpenVinoBuildResult)
    assert made.weights.is_file()
    with rtseg.load(made) as segmenter:
        assert segmenter.runner.backend == "openvino"


def test_run_writes_the_labels_that_the_onnx_file_gives_with_openvino(
    cli: Cli, stored: Path, exported: Path, picture: Path, tmp_path: Path
) -> None:
    maps = []
    for file, name in ((stored, "stored"), (exported, "exported")):
        assert cli("run", file, picture, "-o", tmp_path / name, "--runner", "openvino").code == 0
        (labels,) = (tmp_path / name).glob("*_labels.png")
        maps.append(read_label_png(labels))
    np.testing.assert_array_equal(*maps)


def test_validate_compares_it_with_the_onnx_file(cli: Cli, stored: Path, exported: Path) -> None:
    against = ("--against", exported, "--against-runner", "openvino")
    outcome = cli("validate", stored, *against, "--data", "streets", "--limit", "2", "--json")
    assert outcome.code == 0, outcome.err
    first, second = (json.loads(outcome.out)[side]["accuracy"] for side in ("reference", "candidate"))
    assert first == second


def test_bench_times_it_with_openvino(cli: Cli, stored: Path) -> None:
    outcome = cli("bench", stored, "--seconds", "0.02", "--json")
    rows = json.loads(outcome.out)["rows"]
    assert {row["backend"] for row in rows} == {"openvino"}
    assert all(row["summary"] is not None for row in rows)


def test_audit_says_in_a_line_that_there_is_nothing_to_prove(refused: Refused, stored: Path) -> None:
    told = refused("audit", stored)
    assert "affnet.xml is an OpenVINO model, whose layers get their precision when it is loaded" in told


def test_a_runner_that_does_not_take_it_is_refused_with_those_that_do(
    refused: Refused, stored: Path, picture: Path, tmp_path: Path
) -> None:
    told = refused("run", stored, picture, "-o", tmp_path / "out", "--runner", "onnxruntime")
    assert "got a file of kind openvino; expected one of kind onnx. Try: use --runner openvino or openvino-bf16" in told


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--compute-capability", "8.9"), "compute capabilities"),
        (("--settings", "engines/default.toml"), "build settings"),
        (("--workspace", "64"), "a workspace"),
        (("--cuda", "pycuda"), "a way to call CUDA"),
        (("--keep-anyway",), "keep_anyway"),
        (("--keep-graph", "x.onnx"), "keep_graph"),
        (("--no-rewrite",), "rewrite=False"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_says_how_an_engine_is_built_is_refused(
    refused: Refused,
    export_copy: Path,
    tmp_path: Path,
    files_in: Callable[[Path], list[str]],
    option: tuple[str, ...],
    words: str,
) -> None:
    before = files_in(tmp_path)
    told = refused("build", export_copy, "--runtime", "openvino", *option)
    assert told.startswith(f"an OpenVINO model is built without {words}; got the runtime openvino")
    assert files_in(tmp_path) == before


def test_another_precision_names_the_command_that_makes_it(refused: Refused, export_copy: Path) -> None:
    told = refused("build", export_copy, "--runtime", "openvino", "--precision", "int8")
    assert told.endswith(f"Try: run rtseg quantize {export_copy} --to int8 first, and build its output")


def test_no_engine_and_no_stored_model_is_a_source(refused: Refused, stored: Path) -> None:
    assert "got openvino; expected onnx" in refused("build", stored, "--runtime", "openvino")


def test_an_unknown_runtime_is_refused_with_the_closest_one(export_copy: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown runtime; got 'openvin'.*'openvino'"):
        rtseg.build(export_copy, runtime="openvin")


def test_settings_of_an_engine_are_refused_in_python_too(export_copy: Path) -> None:
    with pytest.raises(SpecError, match="an OpenVINO model is built without a workspace"):
        rtseg.build(export_copy, runtime="openvino", workspace_mib=64)
