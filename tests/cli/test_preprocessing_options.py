"""What only a network's author knows, said to every command that takes a network of the user's own."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rtseg
from rtseg.artifacts.artifact import Artifact
from rtseg.errors import NetworkError, SpecError

Cli = Callable[..., Any]
Refused = Callable[..., str]

SOURCE = """
import torch
from torch import nn


def body(channels):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, channels, 3, 2, 1))


class Heads(nn.Module):
    # two heads of one shape, for images of 64x96 alone
    def __init__(self, classes):
        super().__init__()
        self.auxiliary, self.final = body(classes), body(classes)
        self.grid = nn.Parameter(torch.zeros(1, 1, 64, 96))

    def forward(self, image):
        return self.auxiliary(image + self.grid), self.final(image + self.grid)


class Mask(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = body(1)

    def forward(self, image):
        return self.body(image)
"""
HEADS = ("--module", "two_heads:Heads")
BENCH = ("--resolution", "64x96", "--seconds", "0.05", "--runner", "onnxruntime", "--json")
PIXELS = ("--normalization", "unit", "--resize", "letterbox", "--pad-value", "7")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "two_heads.py").write_text(SOURCE)
    monkeypatch.delitem(sys.modules, "two_heads", raising=False)
    return tmp_path


def exports(home: Path) -> list[Artifact]:
    return [Artifact.open(path) for path in sorted((home / "cache").rglob("*.onnx"))]


def test_bench_times_the_head_that_is_named_at_its_own_resolution_and_pictures(cli: Cli, home: Path) -> None:
    outcome = cli("bench", *HEADS, "--classes", "5", *BENCH, "--output", "1", *PIXELS)
    assert outcome.code == 0
    assert [row["boundary"] for row in json.loads(outcome.out)["rows"]] == ["network", "engine", "frame"]
    for artifact in exports(home):
        image = artifact.manifest.image
        assert (image.fit, image.padding, image.normalization.mean) == ("letterbox", 7, (0.0, 0.0, 0.0))


def test_another_head_is_another_file_of_a_benchmark(home: Path) -> None:
    given: dict[str, Any] = {"classes": 5, "resolution": "64x96", "seconds": 0.05, "runners": "onnxruntime"}
    for head in (0, 1):
        rtseg.bench(networks="two_heads:Heads", head=head, **given)
    assert len({artifact.manifest.sha256 for artifact in exports(home)}) == 4


def test_bench_takes_the_threshold_of_one_channel(cli: Cli, home: Path) -> None:
    assert cli("bench", "--module", "two_heads:Mask", "--classes", "2", *BENCH, "--threshold", "0.25").code == 0
    assert {artifact.manifest.output.threshold for artifact in exports(home)} == {0.25}


def test_without_a_choice_bench_names_an_option_that_it_has(cli: Cli, refused: Refused) -> None:
    message = refused("bench", *HEADS, "--classes", "5", *BENCH)
    assert message.endswith("with --output NAME|INDEX (head= in Python)")
    assert "--output NAME|INDEX" in cli("bench", "--help").out


@pytest.mark.parametrize("other", [{"table": "affnet-6"}, {"resolution": "64x96"}])
def test_bench_refuses_a_head_where_no_network_is_named(other: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"to a network of your own.*Try: pass --module"):
        rtseg.bench(head=1, **other)


def test_a_registered_network_has_neither_head_nor_another_preprocessing(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"are only for a network of your own"):
        rtseg.bench(networks="affnet", resolution="64x96", head=1)
    with pytest.raises(NetworkError, match=r"the preprocessing of affnet is fixed"):
        rtseg.bench(networks="affnet", resolution="64x96", fit="letterbox")
    with pytest.raises(NetworkError, match=r"are only for a network of your own"):
        rtseg.import_checkpoint("affnet", tmp_path / "none.pth", classes=5, head=1)


def test_train_tries_out_the_head_that_is_named_at_the_crop(cli: Cli, refused: Refused, home: Path) -> None:
    rtseg.scenes(home / "pictures", split="train", resolution="64x96", count=4)
    rtseg.scenes(home / "pictures", split="val", resolution="64x96", count=2)
    recipe = ("--data", "camvid:pictures", "--epochs", "1", "--batch-size", "2", "--crop", "64x96", "--device", "cpu")
    assert "--output NAME|INDEX" in refused("train", *HEADS, *recipe, "-o", "mine.safetensors")
    outcome = cli("train", *HEADS, *recipe, "--output", "1", *PIXELS, "-o", "mine.safetensors")
    assert outcome.code == 0, outcome.err
    image = Artifact.open("mine.safetensors").manifest.image
    assert (image.fit, image.padding, image.normalization.mean) == ("letterbox", 7, (0.0, 0.0, 0.0))


def test_import_checkpoint_takes_the_head_and_the_preprocessing_of_ones_own_network(cli: Cli, home: Path) -> None:
    sys.path.insert(0, str(home))
    torch.save(importlib.import_module("two_heads").Heads(5).state_dict(), home / "w.pth")
    given = ("--classes", "5", "--resolution", "64x96", "--output", "1", *PIXELS, "-o", "mine.safetensors")
    outcome = cli("import-checkpoint", "two_heads:Heads", "w.pth", *given)
    assert outcome.code == 0, outcome.err
    assert Artifact.open("mine.safetensors").manifest.image.fit == "letterbox"
