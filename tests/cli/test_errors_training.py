"""Trainings that cannot begin: losses, backbones, patches and pictures that do not go together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rtseg.networks.zoo.resnet import ResNet

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the names and shapes of torchvision's resnet18; not to be changed."""
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    torch.save({**ResNet(18).state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder in CamVid's layout with two pictures in each split."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder, shape, highest in ((split, (64, 64, 3), 256), (f"{split}annot", (64, 64), 11)):
            (tmp_path / "camvid" / folder).mkdir(parents=True)
            for name in ("a.png", "b.png"):
                path = tmp_path / "camvid" / folder / name
                cv2.imwrite(str(path), random.integers(0, highest, shape, np.uint8))
    return tmp_path / "camvid"


@pytest.fixture
def shortest(camvid: Path, tmp_path: Path) -> Callable[..., tuple[object, ...]]:
    """Return the command of the shortest training of a network, with further arguments."""
    settings = (
        "--epochs",
        1,
        "--crop",
        "64x64",
        "--batch-size",
        2,
        "--device",
        "cpu",
        "-o",
        tmp_path / "x.safetensors",
    )
    return lambda network, *arguments: ("train", network, "--data", f"camvid:{camvid}", *settings, *arguments)


@pytest.fixture
def train_refused(
    shortest: Callable[..., tuple[object, ...]], refused: Refused, tmp_path: Path, files_in: Listing
) -> Refused:
    """Train a network, which has to fail and to leave nothing."""

    def message(network: str, *arguments: object) -> str:
        before = files_in(tmp_path)
        told = refused(*shortest(network, *arguments))
        assert files_in(tmp_path) == before
        return told

    return message


def recipe(folder: Path, text: str) -> Path:
    (folder / "recipe.toml").write_text(f'network = "s2fpn18"\ndata = "camvid"\nepochs = 1\nbatch_size = 2\n{text}\n')
    return folder / "recipe.toml"


def with_recipe(camvid: Path, path: Path, *arguments: object) -> tuple[object, ...]:
    settings = ("--crop", "64x64", "--device", "cpu", "-o", camvid.parent / "x.safetensors")
    return ("train", "--recipe", path, "--data", f"camvid:{camvid}", *settings, *arguments)


# Losses


def test_a_mistyped_loss_is_refused_with_the_closest_one(train_refused: Refused) -> None:
    message = train_refused("affnet", "--loss", "weighted-ce-1.2")
    assert message.startswith("unknown loss; got 'weighted-ce-1.2'; expected one of ce, ce+auxiliary, ce+dice, ohem, ")
    assert message.endswith("Try: use 'weighted-ce-1.02'")


def test_the_loss_of_the_command_is_trained_with_and_recorded(
    cli: Callable[..., Any], shortest: Callable[..., tuple[object, ...]]
) -> None:
    outcome = cli(*shortest("affnet", "--loss", "ohem", "--json"))
    details = json.loads(outcome.out)["manifest"]["details"]
    assert (details["loss"], details["recipe"]["loss"]) == ("ohem", "ohem")


# Backbones


def test_a_backbone_from_a_file_is_recorded_with_its_digest(
    cli: Callable[..., Any], shortest: Callable[..., tuple[object, ...]], resnet18: Path
) -> None:
    outcome = cli(*shortest("s2fpn18", "--backbone", resnet18, "--json"))
    details = json.loads(outcome.out)["manifest"]["details"]
    assert details["recipe"]["backbone"] == "imagenet"
    assert details["backbone_sha256"] == hashlib.sha256(resnet18.read_bytes()).hexdigest()


def test_a_recipe_with_an_imagenet_backbone_and_no_file_is_refused_with_what_is_needed(
    refused: Refused, camvid: Path, tmp_path: Path
) -> None:
    message = refused(*with_recipe(camvid, recipe(tmp_path, 'backbone = "imagenet"')))
    assert message == (
        "the recipe starts s2fpn18 from ImageNet weights, and no file of them is given; "
        "expected the state_dict of torchvision.models.resnet18. Try: pass --backbone FILE, or --backbone random"
    )


def test_such_a_recipe_may_be_trained_from_random_weights_and_says_so(
    cli: Callable[..., Any], camvid: Path, tmp_path: Path
) -> None:
    path = recipe(tmp_path, 'backbone = "imagenet"')
    details = json.loads(cli(*with_recipe(camvid, path, "--backbone", "random", "--json")).out)["manifest"]["details"]
    assert (details["recipe"]["backbone"], details["backbone_sha256"]) == ("random", None)


def test_a_backbone_for_a_network_without_one_is_refused(train_refused: Refused, resnet18: Path) -> None:
    message = train_refused("affnet", "--backbone", resnet18)
    assert message == "affnet has no backbone with ImageNet weights. Try: use --backbone random"


def test_the_backbone_of_another_model_is_refused_with_the_model_it_should_be_of(
    train_refused: Refused, resnet18: Path
) -> None:
    message = train_refused("s2fpn34", "--backbone", resnet18)
    assert message.startswith("these are not the ImageNet weights of resnet34; got ")
    assert message.endswith("expected the state_dict of torchvision.models.resnet34")


def test_a_backbone_that_does_not_exist_is_refused(train_refused: Refused, tmp_path: Path) -> None:
    message = train_refused("s2fpn18", "--backbone", tmp_path / "none.pth")
    assert message.startswith(f"cannot read {tmp_path / 'none.pth'}: No such file")


@pytest.mark.parametrize("content", [b"", b"hello world"], ids=["empty", "text"])
def test_a_backbone_that_is_no_pth_is_refused(train_refused: Refused, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    assert train_refused("s2fpn18", "--backbone", tmp_path / "x.pth").startswith(f"{tmp_path / 'x.pth'} ")


def test_initial_weights_and_a_backbone_exclude_each_other(
    misused: Refused, shortest: Callable[..., tuple[object, ...]], resnet18: Path
) -> None:
    told = misused(*shortest("s2fpn18", "--backbone", resnet18, "--init", "x.safetensors"))
    assert told == "Error: --init and --backbone FILE exclude each other: --init has the backbone's weights too"


# Recipes


def test_patches_larger_than_the_pictures_are_refused(refused: Refused, camvid: Path, tmp_path: Path) -> None:
    message = refused(*with_recipe(camvid, recipe(tmp_path, 'patches = "2x2 of 80x80"')))
    assert message == (
        "a cannot be cut into patches: it is smaller than one; got 64x64; expected a size that 2x2 of 80x80 covers"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'patches = "8 of 880x880"',
            "not a grid of patches; got '8 of 880x880'; expected ROWSxCOLUMNS of HEIGHTxWIDTH",
        ),
        ('backbone = "resnet18"', "unknown backbone; got 'resnet18'; expected one of random, imagenet"),
        ("poly_power = -1", "the recipe's poly_power must not be negative; got -1"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(
    refused: Refused, camvid: Path, tmp_path: Path, text: str, words: str
) -> None:
    assert refused(*with_recipe(camvid, recipe(tmp_path, text))).startswith(words)


# VOC


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """VOC2012 with one picture in train and val."""
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass"):
        (home / folder).mkdir(parents=True)
    for split in ("train", "val"):
        (home / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"{split}\n")
        cv2.imwrite(str(home / "JPEGImages" / f"{split}.jpg"), np.zeros((64, 64, 3), np.uint8))
        Image.fromarray(np.zeros((64, 64), np.uint8)).convert("P").save(home / "SegmentationClass" / f"{split}.png")
    return home


def test_training_on_voc_gives_its_classes(cli: Callable[..., Any], voc: Path, tmp_path: Path) -> None:
    settings = (
        "--epochs",
        1,
        "--batch-size",
        1,
        "--crop",
        "96x96",
        "--device",
        "cpu",
        "-o",
        tmp_path / "x.safetensors",
    )
    outcome = cli("train", "erfnet", "--data", f"voc:{voc}", *settings, "--json")
    manifest = json.loads(outcome.out)["manifest"]
    assert manifest["output"]["classes"]["names"][15] == "person"
    assert manifest["details"]["recipe"]["data"] == "voc"


def test_validating_on_vocs_test_split_is_refused_with_the_reason(refused: Refused, exported: Path, voc: Path) -> None:
    message = refused("validate", exported, "--data", f"voc:{voc}", "--split", "test")
    assert message == "VOC 2012 has no public labels for its test split. Try: use the split val"


def test_a_folder_that_is_no_voc_is_refused_with_the_layout(refused: Refused, exported: Path, tmp_path: Path) -> None:
    message = refused("validate", exported, "--data", f"voc:{tmp_path}")
    assert message.startswith(f"no VOC 2012 in {tmp_path}; expected ImageSets/Segmentation/val.txt, JPEGImages/*.jpg")


def test_a_recipe_imports_no_code_unless_the_command_names_it(
    refused: Refused, camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('ran').touch()\ndef factory(classes): pass")
    (tmp_path / "recipe.toml").write_text('network = "evil:factory"\ndata = "camvid"\nepochs = 1')
    command = ("train", "--recipe", "recipe.toml", "--data", f"camvid:{camvid}")
    assert refused(*command).endswith("Try: pass --module evil:factory, if you trust it")
    assert not (tmp_path / "ran").exists()
    assert "did not return a torch.nn.Module" in refused(*command, "--module", "evil:factory")
    assert (tmp_path / "ran").exists()
