from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from rtseg.datasets.patches import PatchGrid
from rtseg.errors import SpecError
from rtseg.specs import Resolution
from rtseg.training.recipe import TrainingRecipe, read_recipe

SMALLEST = TrainingRecipe("affnet", "streets", 3)

COMPLETE = """
network = "affnet"
data = "camvid"
epochs = 7
loss = "ohem"
backbone = "imagenet"
patches = "2x4 of 880x880"
batch_size = 4
crop = "288x384"
optimizer = "sgd"
learning_rate = 1e-2
weight_decay = 0.0
warmup_steps = 0
poly_power = 1
scale_min = 0.5
scale_max = 0.5
flip = false
jitter = 0.25
validate_every = 5
autocast = "bfloat16"
seed = 9
[options]
fusion = "ewa"
"""


def read(folder: Path, text: str) -> TrainingRecipe:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def test_every_field_can_be_written_in_toml(tmp_path: Path) -> None:
    assert read(tmp_path, COMPLETE) == TrainingRecipe(
        network="affnet",
        data="camvid",
        epochs=7,
        options={"fusion": "ewa"},
        loss="ohem",
        backbone="imagenet",
        patches="2x4 of 880x880",
        batch_size=4,
        crop="288x384",
        optimizer="sgd",
        learning_rate=0.01,
        weight_decay=0.0,
        warmup_steps=0,
        poly_power=1,
        scale_min=0.5,
        scale_max=0.5,
        flip=False,
        jitter=0.25,
        validate_every=5,
        autocast="bfloat16",
        seed=9,
    )
    assert all(f"{entry.name} =" in COMPLETE or f"[{entry.name}]" in COMPLETE for entry in fields(TrainingRecipe))


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, 'network = "affnet"\ndata = "streets"\nepochs = 3') == SMALLEST


def test_the_crop_is_a_resolution() -> None:
    assert replace(SMALLEST, crop="288x384").crop_resolution == Resolution(288, 384)


def test_plain_values_make_the_same_recipe_again(tmp_path: Path) -> None:
    recipe = read(tmp_path, COMPLETE)
    assert TrainingRecipe(**recipe.to_json()) == recipe


def test_changes_that_are_none_change_nothing() -> None:
    assert SMALLEST.replaced({"epochs": None, "seed": 4, "crop": None}) == replace(SMALLEST, seed=4)


def test_changes_are_checked_like_the_recipe_itself() -> None:
    with pytest.raises(SpecError, match="epochs must be positive; got 0"):
        SMALLEST.replaced({"epochs": 0})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 2.5),
        ("epochs", "3"),
        ("epochs", True),
        ("batch_size", None),
        ("learning_rate", "fast"),
        ("learning_rate", True),
        ("flip", 1),
        ("network", 3),
        ("options", "fusion=ewa"),
        ("crop", 288),
        ("patches", 8),
        ("loss", None),
        ("backbone", True),
        ("autocast", False),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"the recipe's {field} has the wrong type"):
        replace(SMALLEST, **{field: value})


def test_options_that_are_not_text_are_refused() -> None:
    with pytest.raises(SpecError, match=r"options are not text; got {'fusion': 3}"):
        replace(SMALLEST, options={"fusion": 3})


@pytest.mark.parametrize("field", ["epochs", "batch_size", "learning_rate", "scale_min", "validate_every"])
@pytest.mark.parametrize("value", [0, -1])
def test_what_has_to_be_positive_is(field: str, value: int) -> None:
    with pytest.raises(SpecError, match=f"the recipe's {field} must be positive; got {value}"):
        replace(SMALLEST, **{field: value})


@pytest.mark.parametrize("field", ["weight_decay", "warmup_steps", "poly_power", "jitter", "seed"])
def test_what_must_not_be_negative_is_not(field: str) -> None:
    with pytest.raises(SpecError, match=f"the recipe's {field} must not be negative; got -1"):
        replace(SMALLEST, **{field: -1})
    assert getattr(replace(SMALLEST, **{field: 0}), field) == 0


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay", "poly_power", "scale_min", "scale_max", "jitter"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(field: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"the recipe's {field} is not finite"):
        replace(SMALLEST, **{field: value})


def test_the_largest_scale_is_not_below_the_smallest() -> None:
    with pytest.raises(SpecError, match=r"scale_max is below scale_min; got 0.5; expected >= 0.75"):
        replace(SMALLEST, scale_max=0.5)


def test_a_jitter_of_more_than_everything_is_refused() -> None:
    with pytest.raises(SpecError, match=r"jitter is out of range; got 1.5"):
        replace(SMALLEST, jitter=1.5)


def test_an_unknown_optimizer_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match="unknown optimizer; got 'adamw'; expected one of adam, sgd"):
        replace(SMALLEST, optimizer="adamw")


def test_an_unknown_autocast_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match="unknown autocast; got 'float16'; expected one of off, bfloat16"):
        replace(SMALLEST, autocast="float16")


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match="unknown backbone; got 'resnet18'; expected one of random, imagenet"):
        replace(SMALLEST, backbone="resnet18")


def test_patches_are_written_as_a_grid_of_a_size() -> None:
    grid = replace(SMALLEST, patches="2x4 of 880x896").patch_grid
    assert grid == PatchGrid(2, 4, Resolution(880, 896))
    assert str(grid) == "2x4 of 880x896"


def test_without_patches_there_is_no_grid() -> None:
    assert SMALLEST.patch_grid is None


@pytest.mark.parametrize(
    "patches",
    [
        "8",
        "2x4",
        "880x880",
        "2x4 880x880",
        "0x4 of 880x880",
        "2x0 of 880x880",
        "-2x4 of 880x880",
        "2.5x4 of 880x880",
        "1000x1 of 880x880",
        "2 x 4 of 880x880",
        "2x4  of 880x880",
        "2x4 of 880x880 ",
        "2x4 of 880x880x3",
        "2x4 of 880",
    ],
)
def test_what_is_no_grid_of_patches_is_refused_with_the_form(patches: str) -> None:
    with pytest.raises(
        SpecError, match=r"not a grid of patches; got .*; expected ROWSxCOLUMNS of .*Try: write it as 2x4 of 880x"
    ):
        replace(SMALLEST, patches=patches)


@pytest.mark.parametrize("patches", ["2x4 of 0x880", "2x4 of 99999x880", "1x1 of 16384x16384"])
def test_a_patch_of_no_size_is_refused(patches: str) -> None:
    with pytest.raises(SpecError, match="resolution"):
        replace(SMALLEST, patches=patches)


@pytest.mark.parametrize("crop", ["large", "288", "0x0", "99999x99999"])
def test_a_crop_that_is_no_resolution_is_refused(crop: str) -> None:
    with pytest.raises(SpecError, match="resolution"):
        replace(SMALLEST, crop=crop)


def test_unknown_fields_are_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"unknown fields; got learning_rat; expected .*learning_rate"):
        read(tmp_path, COMPLETE.replace("learning_rate", "learning_rat"))


def test_the_fields_that_have_no_default_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="lacks fields; expected epochs, network"):
        read(tmp_path, 'data = "streets"')


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read the recipe .*none\.toml: No such file"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["network = ", "just words", "epochs = 1\nepochs = 2"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"recipe\.toml is not TOML"):
        read(tmp_path, text)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.toml is not TOML"):
        read_recipe(tmp_path / "binary.toml")


def test_a_file_does_not_decide_which_code_is_imported(tmp_path: Path) -> None:
    text = 'network = "evil:factory"\ndata = "streets"\nepochs = 1'
    with pytest.raises(SpecError, match=r"whose code would be imported; got 'evil:factory'; .* --module evil:factory"):
        read(tmp_path, text)
    assert read_recipe(tmp_path / "recipe.toml", network="mine:factory").network == "mine:factory"
    assert read_recipe(tmp_path / "recipe.toml", network="affnet").network == "affnet"


@pytest.mark.parametrize(
    "text",
    [f"epochs = {'9' * 5000}", f"options = {'[' * 5000}{']' * 5000}", "network = '\x00"],
    ids=["number", "nesting", "control"],
)
def test_text_that_toml_does_not_have_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"recipe\.toml is not TOML"):
        read(tmp_path, text)
