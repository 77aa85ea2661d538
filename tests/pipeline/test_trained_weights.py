"""The checkpoint of a network, found in a folder by its manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rtseg.artifacts.details import TrainingDetails
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import network_with_random_weights
from rtseg.pipeline.trained_weights import SHIPPED, TrainedWeights
from rtseg.specs import Resolution
from tests.observers import Recorder

CAMVID = class_spec("camvid")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of affnet and one of a variant of it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, miou, options in (("worse", 0.3, {}), ("better", 0.5, {}), ("variant", 0.9, {"fusion": "ewa"})):
        network = replace(network_with_random_weights("affnet", CAMVID, options=options), weights="trained on camvid")
        details = TrainingDetails(validation_miou=miou)
        save_checkpoint(folder / f"{name}.safetensors", network, Resolution(64, 64), details=details)
    return folder


def found(folder: Path, network: str = "affnet", **options: str) -> str | None:
    prepared = network_with_random_weights(network, CAMVID, options=options)
    path = TrainedWeights(folder, Recorder()).of(network, prepared.options, CAMVID)
    return None if path is None else path.stem


def test_of_several_the_one_that_validated_best_is_taken(folder: Path) -> None:
    assert found(folder) == "better"


def test_the_options_have_to_be_the_same(folder: Path) -> None:
    assert found(folder, fusion="ewa") == "variant"


def test_the_network_has_to_be_the_same(folder: Path) -> None:
    assert found(folder, "enet") is None


def test_the_classes_have_to_be_the_same(folder: Path) -> None:
    options = network_with_random_weights("affnet", CAMVID).options
    assert TrainedWeights(folder, Recorder()).of("affnet", options, class_spec("cityscapes")) is None


def test_a_file_without_a_manifest_is_passed_over_with_a_warning(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no weights")
    recorder = Recorder()
    assert TrainedWeights(tmp_path, recorder).of("affnet", {}, CAMVID) is None
    assert len(recorder.warnings) == 1 and "a.safetensors is skipped" in recorder.warnings[0]


def test_a_damaged_checkpoint_is_passed_over_for_the_next_best(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / "better.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-7] + bytes(7))
    recorder, prepared = Recorder(), network_with_random_weights("affnet", CAMVID)
    weights = TrainedWeights(tmp_path, recorder)
    assert [weights.of("affnet", prepared.options, CAMVID) for _ in range(2)] == [tmp_path / "worse.safetensors"] * 2
    assert len(recorder.warnings) == 1 and "better.safetensors is skipped" in recorder.warnings[0]


def test_that_there_are_none_is_said_once(folder: Path) -> None:
    recorder = Recorder()
    weights = TrainedWeights(folder, recorder)
    assert [weights.of("enet", {}, CAMVID) for _ in range(2)] == [None, None]
    assert recorder.notes == ["enet: no weights with the classes of camvid"]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        TrainedWeights(tmp_path / "nowhere", Recorder())


def test_without_a_folder_they_are_those_that_ship() -> None:
    assert SHIPPED.is_dir()
    prepared = network_with_random_weights("affnet", CAMVID)
    path = TrainedWeights(None, Recorder()).of("affnet", prepared.options, CAMVID)
    assert path is not None and path.name == "affnet-camvid.safetensors"
