"""`rtseg import-checkpoint` on files as authors save them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rtseg.artifacts.manifest import read_manifest
from rtseg.datasets.registry import class_spec
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.networks.prepared import PreparedNetwork, build_network
from rtseg.networks.zoo.s2fpn_checkpoint import _MODULES

Outcome = Any
Refused = Callable[..., str]

OFFICIAL = {ours: official for official, ours in _MODULES.items() if ours is not None}


def official_name(ours: str) -> str:
    """Return the authors' name of one of our parameters: that of its longest module they know."""
    parts = ours.split(".")
    for length in range(len(parts), 0, -1):
        if (module := ".".join(parts[:length])) in OFFICIAL:
            return ".".join([OFFICIAL[module], *parts[length:]])
    raise KeyError(ours)


@pytest.fixture(scope="module")
def network() -> PreparedNetwork:
    return build_network("s2fpn18", class_spec("camvid"), seed=4)


@pytest.fixture(scope="module")
def published(network: PreparedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the authors' training writes it: their names, "module." before them, a dictionary around."""
    state = {f"module.{official_name(key)}": value for key, value in network.module.state_dict().items()}
    state["module.down2.conv.weight"] = torch.zeros(1)
    path = tmp_path_factory.mktemp("published") / "s2fpn18_camvid.pth"
    torch.save({"epoch": 149, "model": state}, path)
    return path


def test_the_checkpoint_has_the_tensors_of_the_file(
    cli: Callable[..., Outcome], network: PreparedNetwork, published: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "s2fpn18.safetensors"
    outcome = cli("import-checkpoint", "s2fpn18", published, "--classes", "camvid", "-o", target)
    assert (outcome.code, outcome.out.strip()) == (0, str(target))
    loaded = network_from_checkpoint(target).module.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in network.module.state_dict().items())


def test_the_counts_are_said_in_one_line(cli: Callable[..., Outcome], published: Path, tmp_path: Path) -> None:
    outcome = cli("import-checkpoint", "s2fpn18", published, "--classes", "camvid", "-o", tmp_path / "a.safetensors")
    assert re.fullmatch(r"s2fpn18_camvid\.pth: \d+ keys, 0 taken, \d+ renamed, \d+ dropped \(.*\)\n", outcome.err)
    assert outcome.err.endswith("(entry model, prefix module. taken off)\n")


def test_every_key_of_the_file_is_listed_once_if_asked(
    cli: Callable[..., Outcome], published: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    outcome = cli("import-checkpoint", "s2fpn18", published, "--classes", "camvid", "--verbose", "-o", path)
    lines = outcome.err.splitlines()
    keys = [key.removeprefix("module.") for key in torch.load(published, weights_only=True)["model"]]
    assert sorted(line.split()[1] for line in lines[:-1]) == sorted(keys)
    assert "renamed  apf1.sa.gamma -> fusions.0.strip_attention.gamma" in lines
    assert "dropped  down2.conv.weight" in lines
    assert lines[-1].startswith(f"s2fpn18_camvid.pth: {len(keys)} keys, 0 taken, ")


def test_the_manifest_keeps_the_report_and_the_digest_of_the_file(
    cli: Callable[..., Outcome], published: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.safetensors"
    outcome = cli("import-checkpoint", "s2fpn18", published, "--classes", "camvid", "-o", target, "--json")
    manifest = read_manifest(target, kind="checkpoint")
    assert json.loads(outcome.out)["manifest"] == json.loads(json.dumps(manifest.to_json()))
    assert manifest.details.source == "s2fpn18_camvid.pth"
    assert "down2.conv.weight" in manifest.details.keys["dropped"]
    assert manifest.parent_sha256 is not None


def test_a_file_with_our_own_names_is_taken_as_it_is(
    cli: Callable[..., Outcome], network: PreparedNetwork, tmp_path: Path
) -> None:
    torch.save(network.module.state_dict(), tmp_path / "own.pth")
    target = tmp_path / "own.safetensors"
    outcome = cli("import-checkpoint", "s2fpn18", tmp_path / "own.pth", "--classes", "camvid", "-o", target, "--json")
    report = json.loads(outcome.out)["manifest"]["details"]["keys"]
    assert report["renamed"] == {}
    assert all(key.endswith("num_batches_tracked") for key in report["dropped"])


def test_a_missing_key_is_named_and_nothing_is_written(refused: Refused, published: Path, tmp_path: Path) -> None:
    content = torch.load(published, weights_only=True)
    del content["model"]["module.apf2.sa.gamma"]
    torch.save(content, tmp_path / "less.pth")
    target = tmp_path / "target" / "a.safetensors"
    message = refused("import-checkpoint", "s2fpn18", tmp_path / "less.pth", "--classes", "camvid", "-o", target)
    assert "1 missing keys (fusions.1.strip_attention.gamma, ...)" in message
    assert not target.parent.exists()


def test_a_class_count_that_does_not_fit_is_told_with_both_numbers(refused: Refused, published: Path) -> None:
    message = refused("import-checkpoint", "s2fpn18", published, "--classes", "cityscapes")
    assert "does not fit s2fpn18 with 19 classes" in message
    assert "got (11, " in message and "expected (19, " in message


def test_an_unknown_network_is_refused_with_the_closest_name(refused: Refused, published: Path) -> None:
    message = refused("import-checkpoint", "s2fpn", published, "--classes", "camvid")
    assert message.startswith("unknown network; got 's2fpn'")
    assert "Try: use 's2fpn" in message


def test_classes_with_void_have_one_output_more(refused: Refused, published: Path) -> None:
    message = refused("import-checkpoint", "s2fpn18", published, "--classes", "camvid+void")
    assert "does not fit s2fpn18 with 12 classes" in message
