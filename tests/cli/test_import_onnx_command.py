"""`rtseg import-onnx`: what its options say together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.specs import IMAGENET_NORMALIZATION

Refused = Callable[..., str]


@pytest.fixture
def stranger(export_copy: Path) -> Path:
    """A graph of 11 classes without manifest and without contracts."""
    manifest_path(export_copy).unlink()
    model = onnx.load(export_copy)
    del model.metadata_props[:]
    onnx.save(model, export_copy)
    return export_copy


def test_a_stranger_is_imported_and_every_other_command_takes_it(
    stranger: Path, picture: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    told = cli("import-onnx", stranger, "--classes", "camvid", "--normalization", "imagenet", "--no-align-corners")
    path = tmp_path / "copy.canonical.onnx"
    assert (told.code, told.out.strip()) == (0, str(path))
    assert "logits of 11 classes at 64x96" in told.err
    manifest = read_manifest(path, kind="onnx")
    assert manifest.image.normalization == IMAGENET_NORMALIZATION
    assert (manifest.output.classes.dataset, manifest.output.align_corners) == ("camvid", False)
    assert cli("run", path, picture, "-o", tmp_path / "out").code == 0


def test_mean_std_and_scale_are_what_the_graph_is_given(
    stranger: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    numbers = ("--scale", 1, "--mean", 104, 117, 123, "--std", 1, 2, 3, "--colour-order", "BGR")
    told = cli(
        "import-onnx", stranger, "--classes", 11, *numbers, "--align-corners", "-o", tmp_path / "a.onnx", "--json"
    )
    image = json.loads(told.out)["manifest"]["image"]
    assert (image["colour_order"], image["scale"]) == ("BGR", 1)
    assert (image["mean"], image["std"]) == ([104, 117, 123], [1, 2, 3])


def test_a_preset_in_bgr_has_its_numbers_in_that_order(stranger: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    options = ("--classes", 11, "--normalization", "imagenet", "--colour-order", "BGR", "--align-corners")
    image = json.loads(cli("import-onnx", stranger, *options, "--json").out)["manifest"]["image"]
    assert image["mean"] == list(IMAGENET_NORMALIZATION.mean[::-1])


def test_without_options_a_stranger_is_told_those_to_give(refused: Refused, stranger: Path) -> None:
    told = refused("import-onnx", stranger)
    assert all(option in told for option in ("--classes", "--normalization", "--align-corners"))


@pytest.mark.parametrize(
    "options", [("--scale", "1"), ("--colour-order", "BGR"), ("--normalization", "unit", "--std", "1", "1", "1")]
)
def test_half_a_normalisation_or_two_are_wrong_usage(
    misused: Refused, stranger: Path, options: tuple[str, ...]
) -> None:
    assert "--normalization" in misused("import-onnx", stranger, *options)
