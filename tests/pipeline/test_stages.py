"""The stages as functions: artifacts in, artifacts out, each file verified once."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import rtseg
from rtseg.artifacts import manifest as manifest_module
from rtseg.artifacts.artifact import Artifact
from rtseg.errors import (
    AccuracyLossError,
    CalibrationError,
    DatasetError,
    ImageError,
    InputError,
    ManifestError,
    NetworkError,
    QuantizationError,
    SpecError,
    TrainingError,
    UnknownNameError,
    WriteError,
)
from rtseg.observer import Observer
from tests.observers import Recorder

STAGES = [name for name in rtseg.__all__ if inspect.isfunction(getattr(rtseg, name))]
DATA = "streets:64x64"
CHECKPOINT = Path(__file__).resolve().parents[2] / "export" / "checkpoints" / "affnet-streets.safetensors"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose bytes are read for their digest."""
    seen: list[str] = []
    digest = manifest_module.sha256_of

    def recorded(path: Path) -> str:
        seen.append(Path(path).name)
        return digest(path)

    monkeypatch.setattr(manifest_module, "sha256_of", recorded)
    return seen


@pytest.fixture(scope="module")
def int8(exported: Path, calibrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return rtseg.quantize(exported, calibrated, tmp_path_factory.mktemp("int8") / "affnet.int8.onnx").artifact


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"load"}))
def test_every_stage_takes_an_observer_that_by_default_is_silent(name: str) -> None:
    parameter = inspect.signature(getattr(rtseg, name)).parameters["observer"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert type(parameter.default) is Observer


def test_what_a_stage_gives_the_next_one_takes_without_verifying_it_again(tmp_path: Path, hashed: list[str]) -> None:
    fp32 = rtseg.export("affnet", "64x64", tmp_path / "fp32.onnx", classes="camvid", images=0).artifact
    table = rtseg.calibrate(fp32, DATA, images=2, threads=1)
    int8 = rtseg.quantize(fp32, table, tmp_path / "int8.onnx").artifact
    rtseg.validate(int8, DATA, against=fp32, limit=1, threads=1)
    rtseg.load(int8, threads=1).close()
    written = [name for name in hashed if name.endswith(".onnx")]
    assert len(written) == 2, "each file is digested once, when it is written"


def test_a_path_is_verified_once_by_the_stage_that_opens_it(exported: Path, hashed: list[str]) -> None:
    rtseg.validate(exported, DATA, limit=1, threads=1)
    assert hashed == [exported.name]


def test_plain_int8_infers_shapes_of_the_two_graphs_and_no_more(
    exported: Path, calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferred: list[str] = []
    infer = onnx.shape_inference.infer_shapes
    monkeypatch.setattr(
        onnx.shape_inference, "infer_shapes", lambda model, **given: inferred.append("once") or infer(model, **given)
    )
    rtseg.quantize(exported, calibrated, tmp_path / "int8.onnx")
    assert len(inferred) <= 2


@pytest.mark.parametrize("stage", ["export", "quantize", "validate", "run", "audit"])
def test_a_result_says_itself_as_json(stage: str, exported: Path, int8: Artifact, tmp_path: Path) -> None:
    made: dict[str, Callable[[], object]] = {
        "export": lambda: rtseg.export("affnet", "64x64", tmp_path / "a.onnx", classes=3, images=0),
        "quantize": lambda: rtseg.quantize(exported, to="fp16", output=tmp_path / "half.onnx"),
        "validate": lambda: rtseg.validate(int8, DATA, against=exported, limit=2, min_agreement=1, threads=1),
        "run": lambda: rtseg.run(int8, _picture(tmp_path), tmp_path / "out", threads=1),
        "audit": lambda: rtseg.audit(Path(__file__).parents[1] / "data" / "inspector" / "fp16-8.5.json"),
    }
    result = made[stage]()
    document = result.to_json()  # type: ignore[attr-defined]
    assert json.loads(json.dumps(document)) == document


def test_a_result_that_made_an_artifact_is_taken_for_it(exported: Path, calibrated: Path, tmp_path: Path) -> None:
    int8 = rtseg.quantize(exported, calibrated, tmp_path / "int8.onnx")
    assert rtseg.validate(int8, DATA, limit=1, threads=1).ran.artifact is int8.artifact
    with rtseg.load(int8, threads=1) as segmenter:
        assert "64x96" in repr(segmenter)
    assert repr(int8.artifact).endswith("onnx: mine:staged 64x96 int8)") and len(repr(int8)) < 300


def test_a_checkpoint_stands_for_its_network(tmp_path: Path) -> None:
    by_itself = rtseg.export(CHECKPOINT, (64, 64), tmp_path / "a.onnx", images=0).artifact
    by_name = rtseg.export(None, "64x64", tmp_path / "b.onnx", checkpoint=CHECKPOINT, images=0).artifact
    assert by_itself.path.read_bytes() == by_name.path.read_bytes()


def test_scenes_can_be_read_as_camvid(tmp_path: Path) -> None:
    folder = rtseg.scenes(tmp_path / "scenes", resolution="64x64", count=2)
    assert len(list((folder / "val").iterdir())) == 2


def test_a_warning_is_logged_as_one(exported: Path, caplog: pytest.LogCaptureFixture) -> None:
    rtseg.calibrate(exported, DATA, images=2, threads=1)
    assert [record.levelname for record in caplog.records if "had not settled" in record.message] == ["WARNING"]


def test_notes_are_logged_where_nobody_watches(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.INFO, "rtseg"):
        for _ in range(2):
            rtseg.calibrate(exported, DATA, images=2, threads=1)
    assert "all 2 pictures were counted by an earlier run: nothing is computed again" in caplog.text


def test_progress_names_its_task(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    recorder = Recorder()
    rtseg.calibrate(exported, DATA, images=2, threads=1, observer=recorder)
    assert list(dict.fromkeys(recorder.tasks)) == ["reading the pictures", "calibrating"]
    assert recorder.steps[-1] == (2, 2)


def test_inputs_that_fail_are_listed_and_the_others_are_labelled(int8: Artifact, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    result = rtseg.run(int8, [_picture(tmp_path), broken], tmp_path / "out", threads=1)
    assert len(result.summary.inputs) == len(result.summary.failures) == 1
    with pytest.raises(ImageError, match="1 of 2 inputs could not be labelled"):
        result.require()


def test_a_bound_that_is_not_kept_is_raised_when_it_is_required(exported: Path, int8: Artifact) -> None:
    result = rtseg.validate(int8, DATA, against=exported, limit=1, min_agreement=100, threads=1)
    assert result.verdict is not None and not result.verdict.passed
    with pytest.raises(AccuracyLossError):
        result.require()


def test_a_recipe_is_taken_from_a_file_and_a_checkpoint_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    recipe, path = tmp_path / "r.toml", tmp_path / "w.safetensors"
    recipe.write_text('network = "affnet"\ndata = "streets:64x64"\nepochs = 1\n')
    path.write_bytes(b"older")
    with pytest.raises(TrainingError, match="exists already"):
        rtseg.train(recipe, path)
    assert path.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda f: rtseg.export("affnet", "64by64"), SpecError, "not a resolution"),
        (lambda f: rtseg.export("afnet", "64x64"), UnknownNameError, "unknown network; got 'afnet'"),
        (lambda f: rtseg.export(None, "64x64"), NetworkError, "no network is named"),
        (lambda f: rtseg.export("affnet", "64x64", classes="camvit"), UnknownNameError, "Try: use 'camvid'"),
        (lambda f: rtseg.quantize(f), QuantizationError, "INT8 needs a calibration table"),
        (lambda f: rtseg.quantize(f, to="int4"), UnknownNameError, "unknown precision; got 'int4'"),
        (lambda f: rtseg.quantize(f, f, target="trt"), UnknownNameError, "unknown target; got 'trt'"),
        (lambda f: rtseg.quantize(f, to="fp16", max_drop=1.0), QuantizationError, "max_drop decides"),
        (lambda f: rtseg.calibrate(f, DATA, images=2, image_set="s"), CalibrationError, "lists the pictures"),
        (lambda f: rtseg.validate(f, "images:x"), DatasetError, "has no labels to validate on"),
        (lambda f: rtseg.run(f, "nowhere.png", "out"), InputError, "no such file or folder: nowhere.png"),
        (lambda f: rtseg.bench(), SpecError, "the resolution of the networks is missing"),
        (lambda f: rtseg.bench([f], networks=["affnet"]), SpecError, "files bring their own network"),
        (lambda f: rtseg.bench([f], table="affnet-6"), SpecError, "a paper's table brings its own networks"),
        (lambda f: rtseg.load(f"{f}.none"), ManifestError, "cannot read"),
        (lambda f: rtseg.build(f, settings="none.toml"), SpecError, "cannot read the build settings"),
        (lambda f: rtseg.validate(f, DATA, max_drop=0.5), SpecError, "need another file to compare with"),
        (lambda f: rtseg.validate(f, DATA, limit=0), SpecError, "limit is out of range; got 0; expected 1 or more"),
        (lambda f: rtseg.calibrate(f, DATA, images=0), SpecError, "images is out of range"),
        (lambda f: rtseg.bench([f], seconds=0), SpecError, "seconds is out of range"),
        (lambda f: rtseg.run(f, [f], "out", threads=-1), SpecError, "threads is out of range"),
        (lambda f: rtseg.export(print, "64x64"), NetworkError, "not a network; got builtin_function_or_method"),
        (lambda f: rtseg.export("affnet", (64,)), SpecError, "not a resolution"),
        (lambda f: rtseg.calibrate(f, DATA, threads=300), SpecError, "threads is out of range; got 300"),
        (lambda f: rtseg.bench([f], seconds=float("inf")), SpecError, "seconds is out of range; got inf"),
        (lambda f: rtseg.build(f, runtime="nope"), UnknownNameError, "unknown runtime; got 'nope'"),
        (lambda f: rtseg.build(f, "s.toml", settings="s.toml"), WriteError, "would overwrite what belongs to s.toml"),
        (lambda f: rtseg.export(CHECKPOINT, "64x64", CHECKPOINT, images=0), WriteError, "would overwrite"),
        (lambda f: rtseg.validate(3, DATA), SpecError, "not an artifact; got int"),
        (lambda f: rtseg.bench("affnet.onnx"), ManifestError, r"cannot read affnet\.onnx"),
        (lambda f: rtseg.quantize(f, to="fp16", exclude="*/none/*"), QuantizationError, r"got '\*/none/\*'"),
    ],
)
def test_wrong_arguments_are_refused_by_a_typed_error(
    call: Callable[[Path], object], error: type[Exception], told: str, exported: Path
) -> None:
    with pytest.raises(error, match=told):
        call(exported)


def _picture(folder: Path) -> Path:
    import numpy as np

    from rtseg.images.files import write_image

    path = folder / "picture.png"
    write_image(path, np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    return path
