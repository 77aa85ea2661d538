"""Mistyped names, options and sizes: the closest match is named and never taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]

EXPORT = ("export", "affnet", "--resolution", "64x64")


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_in: Listing) -> object:
    monkeypatch.chdir(tmp_path)
    yield
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "command", [("export", "afnet", "--resolution", "64x64"), ("train", "afnet", "--data", "streets", "--epochs", "1")]
)
def test_a_mistyped_network_is_refused_with_the_closest_one(refused: Refused, command: tuple[str, ...]) -> None:
    message = refused(*command)
    assert message.startswith("unknown network; got 'afnet'; expected one of affnet, ")
    assert message.endswith(". Try: use 'affnet'")


def test_a_name_that_is_close_to_nothing_gets_the_list_and_no_guess(refused: Refused) -> None:
    message = refused("export", "trans4trans", "--resolution", "64x64")
    assert message.startswith("unknown network; got 'trans4trans'; expected one of affnet, ")


def test_a_mistyped_dataset_is_refused_with_the_closest_one(refused: Refused) -> None:
    assert refused(*EXPORT, "--data", "camvd:somewhere").endswith("Try: use 'camvid'")


def test_a_mistyped_split_is_refused_with_the_closest_one(refused: Refused) -> None:
    message = refused("scenes", "out", "--resolution", "64x64", "--split", "vall")
    assert message == "unknown split of streets; got 'vall'; expected one of test, train, val. Try: use 'val'"


def test_a_mistyped_class_list_is_refused_with_the_closest_one(refused: Refused) -> None:
    assert refused(*EXPORT, "--classes", "cityscape").endswith("Try: use 'cityscapes'")


@pytest.mark.parametrize("count", ["0", "1", "257", "9" * 30])
def test_a_number_of_classes_out_of_range_is_refused(refused: Refused, count: str) -> None:
    assert f"out of range; got {count}; expected 2 to 256" in refused(*EXPORT, "--classes", count)


def test_a_mistyped_option_is_refused_with_the_closest_one(refused: Refused) -> None:
    assert refused(*EXPORT, "--option", "fusin=ewa").endswith("Try: use 'fusion'")


def test_a_mistyped_value_of_an_option_is_refused_with_the_closest_one(refused: Refused) -> None:
    message = refused(*EXPORT, "--option", "fusion=ewaa")
    assert message.startswith("unknown value of affnet's option fusion; got 'ewaa'")
    assert message.endswith("Try: use 'ewa'")


def test_an_export_without_a_network_is_refused(refused: Refused) -> None:
    assert refused("export", "--resolution", "64x64").startswith("no network is named; expected one of affnet")


@pytest.mark.parametrize("size", ["0x0", "8x8", "1x99999999", "100000x100000", "64x0"])
def test_an_absurd_resolution_is_refused_with_its_range(refused: Refused, size: str) -> None:
    message = refused("export", "affnet", "--resolution", size)
    assert f"got {size}; expected 16 to 16384 pixels. Try: use 512x1024" in message


def test_a_resolution_whose_scores_fit_no_memory_is_refused(refused: Refused) -> None:
    assert "too many pixels; got 16384x16384" in refused("export", "affnet", "--resolution", "16384x16384")


def test_a_resolution_off_the_stride_is_refused_with_the_nearest_that_fits(refused: Refused) -> None:
    message = refused("export", "affnet", "--resolution", "501x1000")
    assert message == "affnet needs sides that are multiples of 8; got 501x1000; expected such as 504x1000"


@pytest.mark.parametrize("size", ["512", "axb", "512x", "512x1024x3", "-8x64", "", "512 x 1024"])
def test_what_is_no_resolution_is_wrong_usage(misused: Refused, size: str) -> None:
    assert f"not a resolution; got {size!r}; expected HEIGHTxWIDTH" in misused("export", "affnet", "--resolution", size)


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("export", "affnet"),
        ("run",),
        ("run", "a.onnx", "-o", "out"),
        ("run", "a.onnx", "b.png"),
        ("doctor", "surplus"),
        ("networks", "--classes", "1"),
        ("train", "affnet"),
        ("train", "affnet", "--module", "a:b", "--data", "streets", "--epochs", "1"),
        ("train", "affnet", "--data", "streets", "--epochs", "0"),
        ("train", "affnet", "--data", "streets", "--epochs", "many"),
        (*EXPORT, "--frobnicate"),
        (*EXPORT, "--interface", "labls"),
        (*EXPORT, "--option", "fusion"),
        (*EXPORT, "--seed", "-1"),
        (*EXPORT, "--seed", "9" * 30),
        (*EXPORT, "--images", "-1"),
        ("run", "a.onnx", "b.png", "-o", "out", "--threads", "-1"),
        ("run", "a.onnx", "b.png", "-o", "out", "--threads", "99999999999"),
        ("validate", "a.onnx", "--data", "streets", "--limit", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_what_was_wrong(misused: Refused, arguments: tuple[str, ...]) -> None:
    assert misused(*arguments).startswith("Error: ")


@pytest.mark.parametrize("device", ["tpu9", "cuda:77"])
def test_training_on_a_device_that_is_not_there_is_refused(refused: Refused, device: str) -> None:
    train = ("train", "affnet", "--data", "streets:64x64", "--epochs", "1", "--crop", "64x64")
    assert refused(*train, "--device", device).startswith(f"cannot train on '{device}': ")


def test_a_seed_no_generator_takes_is_refused(refused: Refused) -> None:
    train = ("train", "affnet", "--data", "streets:64x64", "--epochs", "1")
    assert "seed is out of range" in refused(*train, "--seed", "9" * 30)


def test_a_mistyped_network_is_refused_by_the_installed_program_too(refused_process: Refused) -> None:
    assert refused_process("export", "afnet", "--resolution", "64x64").endswith("Try: use 'affnet'")
