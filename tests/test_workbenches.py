"""Recipes, shipped checkpoints, calibration sets and results: what lies beside the library keeps working."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from rtseg.artifacts.manifest import read_manifest
from rtseg.calibration.image_set import ImageSet, picture_sha256
from rtseg.calibration.table import CalibrationTable
from rtseg.cli.show.benchmark_text import print_benchmark
from rtseg.cli.show.paper_table_text import print_paper_table
from rtseg.datasets.patches import evenly_spaced
from rtseg.datasets.registry import class_spec, dataset_names, open_pictures
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.networks.registry import network_names, network_spec
from rtseg.quantization.files import read_original, read_table
from rtseg.specs import Resolution
from rtseg.training.losses import build_loss
from rtseg.training.recipe import TrainingRecipe, read_recipe

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "export").glob("*.toml"))
CHECKPOINTS = sorted((ROOT / "export" / "checkpoints").glob("*.safetensors"))
IMAGE_SETS = sorted((ROOT / "calibration").glob("*.set.json"))
TABLES = sorted((ROOT / "calibration").glob("*.table.json"))
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def commands_of(recipe: Path) -> list[str]:
    return re.findall(r"^#   (rtseg .*)$", recipe.read_text(), re.MULTILINE)


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_is_read_and_names_a_registered_network(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.network in network_names()
    assert f"{path.stem}-".startswith(f"{recipe.network}-{recipe.data.partition(':')[0]}-")


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_the_pieces_of_a_recipe_fit_together(path: Path) -> None:
    recipe = read_recipe(path)
    dataset = recipe.data.partition(":")[0]
    assert dataset in dataset_names()
    classes, spec, crop = class_spec(dataset), network_spec(recipe.network), recipe.crop_resolution
    with torch.device("meta"):
        module = spec.build(len(classes), **spec.complete_options(recipe.options))
        logits = module.training_logits(torch.empty(2, 3, crop.height, crop.width))
    crop.require_multiple_of(module.multiple, recipe.network)
    assert logits[0].shape[:2] == (2, len(classes))
    assert recipe.backbone == "random" or module.backbone
    shares = np.full(len(classes), 1 / len(classes))
    loss = build_loss(recipe.loss or spec.loss, shares, ignore_index=classes.ignore_index, align_corners=True)
    outputs = tuple(torch.zeros(1, len(classes), 2, 2) for _ in logits)
    assert loss(outputs, torch.zeros(1, 4, 4, dtype=torch.int64)) > 0


PATCHED = [path for path in RECIPES if read_recipe(path).patches]


@pytest.mark.parametrize("path", PATCHED, ids=name_of)
def test_patches_cover_a_picture_of_cityscapes_and_are_not_smaller_than_the_crop(path: Path) -> None:
    recipe = read_recipe(path)
    grid, crop = recipe.patch_grid, recipe.crop_resolution
    assert grid is not None and recipe.data == "cityscapes"
    for length, side, count, cut in (
        (1024, grid.patch.height, grid.rows, crop.height),
        (2048, grid.patch.width, grid.columns, crop.width),
    ):
        assert cut <= side <= length <= side * count
        assert evenly_spaced(length, side, count)[-1] == length - side


@pytest.mark.parametrize("path", [path for path in RECIPES if commands_of(path)], ids=name_of)
def test_a_recipe_shows_the_command_that_trains_by_it(path: Path) -> None:
    shown = [line for line in commands_of(path) if f"--recipe export/{path.name} " in line]
    assert len(shown) == 1
    assert ("--backbone " in shown[0]) == (read_recipe(path).backbone == "imagenet")


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_every_recipe_is_in_the_table_of_the_workbench(path: Path) -> None:
    assert f"`{path.name}`" in (ROOT / "export" / "README.md").read_text()


@pytest.mark.parametrize("path", CHECKPOINTS, ids=name_of)
def test_a_shipped_checkpoint_is_intact_and_was_trained_by_the_recipe_beside_it(path: Path) -> None:
    manifest = read_manifest(path, kind="checkpoint")
    assert TrainingRecipe(**manifest.details.recipe) == read_recipe(ROOT / "export" / f"{path.stem}.toml")


@pytest.mark.parametrize("path", CHECKPOINTS, ids=name_of)
def test_a_shipped_checkpoint_loads(path: Path) -> None:
    assert network_from_checkpoint(path).weights.startswith("trained on")


@pytest.mark.parametrize("path", CHECKPOINTS, ids=name_of)
def test_a_shipped_checkpoint_has_a_card_with_its_miou_and_a_word_on_the_licence(path: Path) -> None:
    card = path.with_suffix(".md").read_text()
    miou = read_manifest(path, kind="checkpoint").details.validation_miou
    assert f"{miou:.1%}".replace("%", " %") in card
    assert "licence" in card.lower()


@pytest.mark.parametrize("path", IMAGE_SETS, ids=name_of)
def test_an_image_set_is_called_after_its_dataset_its_split_and_how_many_pictures_it_names(path: Path) -> None:
    image_set = ImageSet.read(path)
    assert path.name == f"{image_set.data}-{image_set.split}-{len(image_set.pictures)}.set.json"


def test_the_image_set_of_the_streets_names_the_scenes_that_are_rendered_here() -> None:
    image_set = ImageSet.read(ROOT / "calibration" / "streets-train-64.set.json")
    scenes = open_pictures("streets", image_set.split)
    chosen = [scenes[index] for index in (0, 6)]
    assert [image_set.pictures[scene.name] for scene in chosen] == [picture_sha256(scene.image) for scene in chosen]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow) if path.name.startswith("s2fpn") else path for path in TABLES],
    ids=name_of,
)
def test_a_tracked_table_is_of_the_graph_that_its_checkpoint_exports_and_of_a_tracked_set(
    path: Path, tmp_path: Path
) -> None:
    table = CalibrationTable.read(path)
    name, _, size = path.name.removesuffix(".table.json").rpartition("-")
    network = network_from_checkpoint(ROOT / "export" / "checkpoints" / f"{name}.safetensors")
    export_onnx(network, Resolution.parse(size), tmp_path / "m.onnx")
    original = read_original(tmp_path / "m.onnx")
    assert read_table(path, original) == table
    image_set = ImageSet.read(ROOT / "calibration" / f"{table.data}-{table.split}-{len(table.pictures)}.set.json")
    assert {picture.name: picture.sha256 for picture in table.pictures} == dict(image_set.pictures)


def test_every_tracked_set_and_table_is_in_the_table_of_the_workbench() -> None:
    page = (ROOT / "calibration" / "README.md").read_text()
    assert IMAGE_SETS and TABLES
    assert [path.name for path in [*IMAGE_SETS, *TABLES] if f"`{path.name}`" not in page] == []


@pytest.mark.parametrize("path", RESULTS, ids=name_of)
def test_a_result_says_by_which_command_and_on_which_machine_it_was_made(path: Path) -> None:
    result = json.loads(path.read_text())
    assert {"command", "environment"} <= set(result) or {"rule", "environment", "rows"} <= set(result)


@pytest.mark.parametrize("path", [path for path in RESULTS if path.name.startswith(("bench-", "table-"))], ids=name_of)
def test_a_tracked_benchmark_is_printed_by_todays_command(path: Path) -> None:
    stream = io.StringIO()
    show = print_paper_table if path.name.startswith("table-") else print_benchmark
    result = json.loads(path.read_text())
    show(result, Console(file=stream, width=160))
    assert f"machine: {result['environment']['cpu']['model']}" in stream.getvalue()
