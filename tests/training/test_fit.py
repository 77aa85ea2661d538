from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from rtseg.accuracy.validation import measured_accuracy
from rtseg.artifacts.manifest import read_manifest
from rtseg.datasets.labelled import LabelledDataset, LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.errors import DatasetError, SpecError, TrainingError, UnknownNameError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.networks.prepared import PreparedNetwork, build_network
from rtseg.observer import Observer
from rtseg.runners.loading import load
from rtseg.specs import Normalization, Resolution
from rtseg.training.class_shares import class_shares
from rtseg.training.fit import fit
from rtseg.training.recipe import TrainingRecipe
from rtseg.training.state import state_path
from tests.training.small_runs import TOWARDS_ONE, Constant, Grey, Killed, Witness, constant

RECIPE = TrainingRecipe(
    "affnet", "streets:64x96", 3, batch_size=2, crop="64x96", scale_min=0.8, scale_max=1.4, jitter=0.1, warmup_steps=2
)
"""Three epochs of three steps on six scenes."""

WHOLE = replace(RECIPE, scale_min=1, scale_max=1, flip=False, jitter=0)
"""The pictures as they are."""


def fresh_affnet() -> PreparedNetwork:
    return build_network("affnet", class_spec("streets"), seed=3)


@pytest.fixture(scope="module")
def uninterrupted(
    six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The checkpoint of RECIPE, trained in one go."""
    path = tmp_path_factory.mktemp("uninterrupted") / "affnet.safetensors"
    fit(fresh_affnet(), RECIPE, six_scenes, two_scenes, path)
    return path


def test_training_lowers_the_loss(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    witness = Witness()
    recipe = replace(WHOLE, epochs=8, learning_rate=2e-3, validate_every=8)
    fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors", observer=witness)
    first, last = witness.epochs[0][1], witness.epochs[-1][1]
    assert last < 0.7 * first


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_observer_gets_every_step_and_epoch(
    optimizer: str, affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    witness = Witness()
    recipe = replace(RECIPE, epochs=2, optimizer=optimizer, validate_every=2)
    fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors", observer=witness)
    assert len(witness.losses) == 6
    assert [epoch for epoch, _, _ in witness.epochs] == [1, 2]
    assert witness.epochs[0][1] == pytest.approx(sum(witness.losses[:3]) / 3, abs=2e-4)
    assert [validated for _, _, validated in witness.epochs] == [False, True]
    assert witness.counted[-1] == (6, 6)


def test_the_last_epoch_is_validated_even_if_it_is_not_its_turn(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=3, validate_every=2)
    manifest = fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors").manifest
    assert ["miou" in record for record in manifest.details.history] == [False, True, True]


# The checkpoint


def test_the_checkpoint_tells_how_it_was_trained(uninterrupted: Path) -> None:
    manifest = read_manifest(uninterrupted, kind="checkpoint")
    assert manifest.details.recipe == RECIPE.to_json()
    assert len(manifest.details.history) == 3
    assert sum(manifest.details.class_shares) == pytest.approx(1)
    assert (manifest.details.train_pictures, manifest.details.validation_pictures) == (6, 2)
    assert manifest.output.classes == class_spec("streets")
    assert str(manifest.image.resolution) == "64x96"


def test_no_state_is_left_after_a_finished_run(uninterrupted: Path) -> None:
    assert not state_path(uninterrupted).exists()
    assert sorted(p.name for p in uninterrupted.parent.iterdir()) == [uninterrupted.name, f"{uninterrupted.name}.json"]


def test_the_checkpoint_validates_as_its_manifest_says(
    uninterrupted: Path, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    # Through the whole chain: checkpoint, export, ONNX Runtime.
    network = network_from_checkpoint(uninterrupted)
    export_onnx(network, Resolution(64, 96), tmp_path / "trained.onnx")
    with load(tmp_path / "trained.onnx", threads=1) as segmenter:
        miou = measured_accuracy(segmenter, two_scenes).miou
    expected = read_manifest(uninterrupted, kind="checkpoint").details.validation_miou
    assert miou == pytest.approx(expected, abs=2e-3)  # a pixel of rounding in a rare class


def test_a_half_checkpoint_keeps_its_statistics_in_float32(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    manifest = fit(affnet, replace(RECIPE, epochs=1), six_scenes, two_scenes, path, precision="fp16").manifest
    tensors = load_file(path)
    assert manifest.precision == "fp16"
    assert {str(value.dtype) for value in tensors.values() if value.ndim == 4} == {"float16"}
    assert {str(value.dtype) for value in tensors.values() if value.ndim == 1} == {"float32"}
    assert {value.ndim for value in tensors.values()} == {1, 4}


def test_a_half_checkpoint_loads_as_the_rounded_weights(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    fit(affnet, replace(RECIPE, epochs=1), six_scenes, two_scenes, path, precision="fp16")
    loaded = network_from_checkpoint(path).module.state_dict()
    for name, trained in affnet.module.state_dict().items():
        if trained.is_floating_point():
            expected = trained.half().float() if trained.ndim == 4 else trained
            assert loaded[name].dtype == torch.float32
            assert torch.equal(loaded[name], expected), name


def test_the_checkpoint_is_the_epoch_that_validated_best_and_not_the_last(tmp_path: Path) -> None:
    # Validated against class 0: right at first, wrong as soon as the training has turned the network to class 1.
    network = constant()
    manifest = fit(network, TOWARDS_ONE, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors").manifest
    mious = [record["miou"] for record in manifest.details.history]
    assert mious[0] == 1
    assert mious[-1] == 0
    assert manifest.details.selected_epoch == 1
    assert manifest.details.validation_miou == 1
    bias = load_file(tmp_path / "out.safetensors")["conv.bias"]
    assert bias[0] > bias[1]


def test_the_module_ends_with_the_weights_of_the_checkpoint(tmp_path: Path) -> None:
    network = constant()
    fit(network, TOWARDS_ONE, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors")
    for name, value in load_file(tmp_path / "out.safetensors").items():
        np.testing.assert_array_equal(network.module.state_dict()[name].numpy(), value)
    assert not network.module.training


def test_pictures_in_bgr_are_trained_in_the_order_the_artifact_will_get_them(tmp_path: Path) -> None:
    # Red pictures are class 1, blue ones class 0; a network for BGR must see blue first.
    class RedOrBlue(Grey):
        def __getitem__(self, index: int) -> LabelledImage:
            image = np.zeros((16, 16, 3), np.uint8)
            image[..., 0 if index % 2 else 2] = 255
            return LabelledImage(str(index), image, np.full((16, 16), index % 2, np.uint8))

    bgr = Normalization("BGR", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    network = replace(constant(), normalization=bgr)
    recipe = replace(TOWARDS_ONE, learning_rate=1.0, epochs=10)
    manifest = fit(network, recipe, RedOrBlue(8, 0), RedOrBlue(2, 0), tmp_path / "out.safetensors").manifest
    assert manifest.details.validation_miou == 1
    weight = network.module.conv.weight.detach()[..., 0, 0]
    assert weight[1, 2] > weight[0, 2]  # the third channel is red


# What the recipe chooses


def test_a_loss_in_the_recipe_stands_in_for_the_networks_own(tmp_path: Path) -> None:
    # Every pixel is class 1 with p = 1 / (1 + e^2): -ln p, and a Dice of 2 p / (p + 1) for it and 0 for the other.
    p = 1 / (1 + np.exp(2))
    witness = Witness()
    recipe = replace(TOWARDS_ONE, epochs=1, loss="ce+dice")
    manifest = fit(constant(), recipe, Grey(4, 1), Grey(1, 1), tmp_path / "out.safetensors", observer=witness).manifest
    assert witness.losses[0] == pytest.approx(-np.log(p) + 1 - p / (p + 1), rel=1e-4)
    assert manifest.details.loss == "ce+dice"


@pytest.mark.parametrize(("loss", "recorded"), [("", "owfl+ce"), ("weighted-ce-1.02", "weighted-ce-1.02")])
def test_the_checkpoint_tells_the_loss_it_was_trained_with(
    loss: str,
    recorded: str,
    affnet: PreparedNetwork,
    six_scenes: LabelledDataset,
    two_scenes: LabelledDataset,
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, epochs=1, loss=loss)
    manifest = fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors").manifest
    assert manifest.details.loss == recorded


def test_an_unknown_loss_is_refused_before_anything_is_counted(tmp_path: Path) -> None:
    witness = Witness()
    with pytest.raises(UnknownNameError, match=r"unknown loss; got 'dice'"):
        recipe = replace(TOWARDS_ONE, loss="dice")
        fit(constant(), recipe, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors", observer=witness)
    assert witness.counted == []


def test_bfloat16_gives_other_weights_that_are_finite_and_float32(
    six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    weights = {}
    for autocast in ("off", "bfloat16"):
        path = tmp_path / f"{autocast}.safetensors"
        fit(fresh_affnet(), replace(RECIPE, epochs=1, autocast=autocast), six_scenes, two_scenes, path)
        weights[autocast] = load_file(path)
    assert all(tensor.dtype == np.float32 for tensor in weights["bfloat16"].values())
    assert all(np.isfinite(tensor).all() for tensor in weights["bfloat16"].values())
    assert any(not np.array_equal(tensor, weights["off"][name]) for name, tensor in weights["bfloat16"].items())


def test_patches_are_trained_on_and_whole_pictures_validated_and_counted(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    witness = Witness()
    recipe = replace(RECIPE, epochs=1, patches="2x3 of 40x48", crop="40x48")
    manifest = fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors", observer=witness).manifest
    assert len(witness.losses) == 6 * 6 // 2
    assert witness.counted[-1] == (6, 6)
    assert manifest.details.class_shares == tuple(class_shares(six_scenes).tolist())
    assert (manifest.details.train_pictures, str(manifest.image.resolution)) == (6, "64x96")


def test_patches_larger_than_the_pictures_are_refused_before_anything_is_counted(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    witness = Witness()
    recipe = replace(RECIPE, patches="2x2 of 80x80")
    with pytest.raises(DatasetError, match=r"train_0000 cannot be cut .* smaller than one; got 64x96"):
        fit(affnet, recipe, six_scenes, two_scenes, tmp_path / "out.safetensors", observer=witness)
    assert witness.counted == []


# Killed and resumed


def same_as_uninterrupted(path: Path, uninterrupted: Path) -> None:
    assert path.read_bytes() == uninterrupted.read_bytes()
    got, expected = (read_manifest(p, kind="checkpoint").details for p in (path, uninterrupted))
    assert got == expected


@pytest.mark.parametrize("killed_after", [2, 4, 9])
def test_a_run_that_ended_in_an_epoch_goes_on_to_the_same_weights(
    killed_after: int,
    uninterrupted: Path,
    six_scenes: LabelledDataset,
    two_scenes: LabelledDataset,
    tmp_path: Path,
) -> None:
    path = tmp_path / "affnet.safetensors"
    with pytest.raises(Killed):
        fit(fresh_affnet(), RECIPE, six_scenes, two_scenes, path, observer=Witness(killed_after))
    assert not path.exists()
    witness = Witness()
    fit(fresh_affnet(), RECIPE, six_scenes, two_scenes, path, resume=True, observer=witness)
    assert witness.resumed_after == ([(killed_after - 1) // 3] if killed_after > 3 else [])
    same_as_uninterrupted(path, uninterrupted)


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import torch
sys.path[:0] = [sys.argv[1]]
from tests.training.conftest import Listed
from tests.training.test_fit import RECIPE, Observer, fit, fresh_affnet
from rtseg.datasets.registry import Streets
from rtseg.specs import Resolution

class Kill(Observer):
    def progress(self, task, done, total, detail=""):
        if task == "training" and done == 8:
            os.kill(os.getpid(), signal.SIGKILL)

def scenes(split, count):
    streets = Streets(split, Resolution(64, 96))
    return Listed(streets.classes, [streets[index] for index in range(count)])

torch.set_num_threads(1)
fit(fresh_affnet(), RECIPE, scenes("train", 6), scenes("val", 2), Path(sys.argv[2]), observer=Kill())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_goes_on_to_the_same_weights(
    uninterrupted: Path, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    path = tmp_path / "affnet.safetensors"
    command = [sys.executable, "-c", KILLED_RUN, str(Path(__file__).parents[2]), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ}, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert state_path(path).exists()
    witness = Witness()
    fit(fresh_affnet(), RECIPE, six_scenes, two_scenes, path, resume=True, observer=witness)
    assert witness.resumed_after == [2]
    same_as_uninterrupted(path, uninterrupted)


def test_a_run_killed_after_its_last_epoch_only_writes_the_checkpoint(tmp_path: Path) -> None:
    class AtTheEnd(Observer):
        def note(self, text: str) -> None:
            if text.startswith(f"epoch {TOWARDS_ONE.epochs:>4}/"):
                raise Killed

    path = tmp_path / "out.safetensors"
    with pytest.raises(Killed):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, observer=AtTheEnd())
    witness = Witness()
    manifest = fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, resume=True, observer=witness).manifest
    assert witness.losses == []
    assert manifest.details.selected_epoch == 1


def test_without_resume_an_unfinished_run_is_neither_taken_up_nor_lost(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    state = state_path(path).read_bytes()
    with pytest.raises(TrainingError, match=r"from an unfinished run\. Try: pass --resume to continue"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path)
    assert state_path(path).read_bytes() == state


def interrupted(tmp_path: Path) -> Path:
    path = tmp_path / "out.safetensors"
    with pytest.raises(Killed):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, observer=Witness(5))
    return path


def test_resuming_with_another_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    other = replace(TOWARDS_ONE, learning_rate=0.2, seed=4)
    with pytest.raises(
        TrainingError, match=r"another recipe; got learning_rate=0.3, seed=0; expected learning_rate=0.2"
    ):
        fit(constant(), other, Grey(4, 1), Grey(1, 0), path, resume=True)


def test_a_bad_validation_picture_costs_no_epoch(tmp_path: Path) -> None:
    class Damaged(Grey):
        def __getitem__(self, index: int) -> LabelledImage:
            if index == 2:
                raise DatasetError("2.png is damaged")
            return super().__getitem__(index)

    witness = Witness()
    with pytest.raises(DatasetError, match=r"2\.png is damaged"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Damaged(3, 0), tmp_path / "out.safetensors", observer=witness)
    assert (witness.losses, list(tmp_path.iterdir())) == ([], [])


def test_resuming_with_other_classes_is_refused(tmp_path: Path) -> None:
    path, network, train = interrupted(tmp_path), constant(), Grey(4, 1)
    other = replace(train.classes, names=tuple(reversed(train.classes.names)))
    train.classes = other  # type: ignore[misc]
    val = Grey(1, 0)
    val.classes = other  # type: ignore[misc]
    with pytest.raises(TrainingError, match=r"belongs to other classes; got .*; expected .*another output file"):
        fit(replace(network, classes=other), TOWARDS_ONE, train, val, path, resume=True)


def test_resuming_another_network_of_the_same_name_is_refused(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    changed = constant()
    changed.module.extra = nn.Linear(2, 2)
    with pytest.raises(TrainingError, match=r"does not fit mine:constant"):
        fit(changed, TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, resume=True)


def test_a_state_from_before_a_field_of_the_recipe_is_one_with_its_default(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    state = torch.load(state_path(path), weights_only=True)
    del state["recipe"]["loss"], state["recipe"]["autocast"], state["backbone_sha256"], state["classes"]
    torch.save(state, state_path(path))
    with pytest.raises(TrainingError, match=r"another recipe; got loss=''; expected loss='ohem'"):
        fit(constant(), replace(TOWARDS_ONE, loss="ohem"), Grey(4, 1), Grey(1, 0), path, resume=True)
    assert (
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, resume=True).manifest.details.backbone_sha256 is None
    )


@pytest.mark.parametrize("change", [{"epochs": 0}, {"younger": 1}])
def test_a_state_of_a_recipe_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, int]) -> None:
    path = interrupted(tmp_path)
    state = torch.load(state_path(path), weights_only=True)
    state["recipe"].update(change)
    torch.save(state, state_path(path))
    with pytest.raises(TrainingError, match="is not the state of a training run"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, resume=True)


@pytest.mark.parametrize("content", [b"", b"not a state", b"PK\x03\x04 half a zip"])
def test_a_state_that_cannot_be_read_is_refused(content: bytes, tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    state_path(path).write_bytes(content)
    with pytest.raises(TrainingError, match="is not the state of a training run"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 0), path, resume=True)


# Runs that cannot be


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    recipe = replace(TOWARDS_ONE, learning_rate=1e38)
    with pytest.raises(
        TrainingError, match=r"the loss is (nan|inf) in epoch \d, step \d\. Try: use a lower --learning-rate"
    ):
        fit(constant(), recipe, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_fewer_pictures_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="smaller than one batch; got 3; expected at least 4"):
        fit(constant(), replace(TOWARDS_ONE, batch_size=4), Grey(3, 1), Grey(1, 0), tmp_path / "out.safetensors")


def test_an_empty_validation_split_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    witness = Witness()
    with pytest.raises(TrainingError, match="the validation split is empty"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(0, 0), tmp_path / "out.safetensors", observer=witness)
    assert witness.losses == []


def test_a_validation_split_of_void_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pixel of the 1 validation picture is labelled"):
        fit(constant(), TOWARDS_ONE, Grey(4, 1), Grey(1, 255), tmp_path / "out.safetensors")


def test_a_crop_that_the_stride_does_not_divide_is_refused(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="affnet needs sides that are multiples of 8; got 60x96"):
        fit(affnet, replace(RECIPE, crop="60x96"), six_scenes, two_scenes, tmp_path / "out.safetensors")


def test_a_network_with_one_channel_for_its_two_classes_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    network = replace(constant(), module=Constant(1), threshold=0.5)
    with pytest.raises(TrainingError, match="mine:constant has one channel for its two classes"):
        fit(network, TOWARDS_ONE, Grey(4, 1), Grey(2, 1), tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_other_classes_than_the_networks_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    witness = Witness()
    network = replace(constant(), module=Constant(3), classes=class_spec("3"))
    with pytest.raises(DatasetError, match="the training split have different classes"):
        fit(network, TOWARDS_ONE, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors", observer=witness)
    assert witness.losses == []


def test_a_batch_too_small_for_batch_statistics_is_refused(
    affnet: PreparedNetwork, six_scenes: LabelledDataset, two_scenes: LabelledDataset, tmp_path: Path
) -> None:
    # Pyramid pooling over one bin leaves one value per channel and picture, of which there is no variance.
    with pytest.raises(TrainingError, match=r"cannot be trained on batches of 1 at 64x96.*Try: use --batch-size 2"):
        fit(affnet, replace(RECIPE, batch_size=1), six_scenes, two_scenes, tmp_path / "out.safetensors")


def test_training_leaves_the_weights_it_started_from_to_whoever_copied_them(tmp_path: Path) -> None:
    network = constant()
    before = copy.deepcopy(network.module.state_dict())
    fit(network, TOWARDS_ONE, Grey(4, 1), Grey(1, 1), tmp_path / "out.safetensors")
    after = network.module.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
