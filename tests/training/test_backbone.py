from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from rtseg.datasets.registry import class_spec
from rtseg.errors import CheckpointError, TrainingError
from rtseg.networks.checkpoints import network_from_checkpoint, save_checkpoint
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.networks.zoo.imagenet import load_imagenet
from rtseg.specs import Resolution
from rtseg.training.backbone import load_backbone
from rtseg.training.fit import fit
from rtseg.training.recipe import TrainingRecipe
from tests.training.small_runs import TOWARDS_ONE, Constant, Grey, Killed, Witness, constant

CAMVID = class_spec("camvid")


class Backed(Constant):
    """Has a backbone whose classifier is a 1x1 convolution without its last layer."""

    backbone = "resnet7"

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        load_imagenet(self.conv, state, model=self.backbone, classifier=("fc.",))


def backed() -> PreparedNetwork:
    return replace(constant(), name="mine:backed", module=Backed(2))


IMAGENET = replace(TOWARDS_ONE, network="mine:backed", epochs=1, learning_rate=1e-30, backbone="imagenet")
"""So slow that the weights stay what they were."""


@pytest.fixture()
def imagenet_file(tmp_path: Path) -> Path:
    tensors = {"weight": torch.full((2, 3, 1, 1), 0.25), "bias": torch.tensor([0.5, -1.0]), "fc.bias": torch.ones(9)}
    torch.save(tensors, tmp_path / "resnet7.pth")
    return tmp_path / "resnet7.pth"


def test_the_backbone_starts_from_the_file_and_the_checkpoint_tells_which(tmp_path: Path, imagenet_file: Path) -> None:
    output = tmp_path / "out.safetensors"
    manifest = fit(backed(), IMAGENET, Grey(4, 1), Grey(1, 0), output, backbone=imagenet_file).manifest
    assert load_file(output)["conv.bias"].tolist() == [0.5, -1.0]
    assert manifest.details.backbone_sha256 == hashlib.sha256(imagenet_file.read_bytes()).hexdigest()
    assert manifest.details.recipe["backbone"] == "imagenet"


def test_a_random_backbone_comes_from_no_file(tmp_path: Path) -> None:
    recipe = replace(IMAGENET, backbone="random")
    manifest = fit(backed(), recipe, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors").manifest
    assert (manifest.details.recipe["backbone"], manifest.details.backbone_sha256) == ("random", None)


@pytest.mark.parametrize(
    ("network", "backbone", "given", "words"),
    [
        (
            backed,
            "imagenet",
            False,
            r"no file of them is given; expected .* torchvision\.models\.resnet7",
        ),
        (
            constant,
            "imagenet",
            True,
            r"mine:constant has no backbone with ImageNet weights\. Try: use --backbone random",
        ),
        (constant, "imagenet", False, r"mine:constant has no backbone with ImageNet weights"),
        (backed, "random", True, r"the recipe's backbone is random, yet weights are given; got .*resnet7\.pth"),
    ],
)
def test_a_recipe_and_a_file_that_do_not_go_together_are_refused(
    tmp_path: Path,
    imagenet_file: Path,
    network: Callable[[], PreparedNetwork],
    backbone: str,
    given: bool,
    words: str,
) -> None:
    witness = Witness()
    recipe = replace(IMAGENET, backbone=backbone)
    settings = {"backbone": imagenet_file if given else None, "observer": witness}
    with pytest.raises(TrainingError, match=words):
        fit(network(), recipe, Grey(4, 1), Grey(1, 0), tmp_path / "out.safetensors", **settings)
    assert witness.counted == []


def begun_from(path: Path, imagenet_file: Path) -> None:
    with pytest.raises(Killed):
        recipe = replace(IMAGENET, epochs=2)
        fit(backed(), recipe, Grey(4, 1), Grey(1, 0), path, backbone=imagenet_file, observer=Witness(3))


@pytest.mark.parametrize("again", [True, False])
def test_a_resumed_run_still_tells_its_backbone_and_need_not_be_given_the_file(
    tmp_path: Path, imagenet_file: Path, again: bool
) -> None:
    path = tmp_path / "out.safetensors"
    begun_from(path, imagenet_file)
    settings = {"backbone": imagenet_file if again else None, "resume": True}
    manifest = fit(backed(), replace(IMAGENET, epochs=2), Grey(4, 1), Grey(1, 0), path, **settings).manifest
    assert manifest.details.backbone_sha256 == hashlib.sha256(imagenet_file.read_bytes()).hexdigest()


def test_resuming_with_another_backbone_is_refused(tmp_path: Path, imagenet_file: Path) -> None:
    path = tmp_path / "out.safetensors"
    begun_from(path, imagenet_file)
    torch.save({"weight": torch.zeros(2, 3, 1, 1), "bias": torch.zeros(2)}, imagenet_file)
    with pytest.raises(TrainingError, match=r"began with other backbone weights; got .*resnet7\.pth with SHA"):
        recipe = replace(IMAGENET, epochs=2)
        fit(backed(), recipe, Grey(4, 1), Grey(1, 0), path, backbone=imagenet_file, resume=True)


def test_resuming_with_a_backbone_that_is_not_there_is_refused(tmp_path: Path, imagenet_file: Path) -> None:
    path = tmp_path / "out.safetensors"
    begun_from(path, imagenet_file)
    imagenet_file.unlink()
    with pytest.raises(CheckpointError, match=r"cannot read .*resnet7\.pth: No such file"):
        recipe = replace(IMAGENET, epochs=2)
        fit(backed(), recipe, Grey(4, 1), Grey(1, 0), path, backbone=imagenet_file, resume=True)


# From another network


@pytest.fixture(scope="module")
def of_haff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of haff, whose backbone is mlff's too."""
    path = tmp_path_factory.mktemp("checkpoints") / "haff.safetensors"
    save_checkpoint(path, network_with_random_weights("haff", CAMVID, seed=5), Resolution(64, 64))
    return path


def recipe_of(network: str, backbone: str = "checkpoint") -> TrainingRecipe:
    return replace(TOWARDS_ONE, network=network, backbone=backbone)


def test_a_backbone_is_taken_from_the_checkpoint_of_another_network_with_the_same_one(of_haff: Path) -> None:
    mlff = network_with_random_weights("mlff", CAMVID)
    digest = load_backbone(mlff, recipe_of("mlff"), of_haff)
    assert digest == hashlib.sha256(of_haff.read_bytes()).hexdigest()
    ours, theirs = mlff.module.trunk, network_from_checkpoint(of_haff).module.trunk
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())


def test_a_checkpoint_of_another_backbone_is_refused(of_haff: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not the same backbone; got mobilenet_v2 .*; expected resnet18"):
        load_backbone(network_with_random_weights("s2fpn18", CAMVID), recipe_of("s2fpn18"), of_haff)


def test_a_recipe_that_wants_a_checkpoint_says_which_where_none_is_given() -> None:
    with pytest.raises(TrainingError, match=r"no checkpoint is given; expected a checkpoint of a network with mobile"):
        load_backbone(network_with_random_weights("mlff", CAMVID), recipe_of("mlff"), None)
