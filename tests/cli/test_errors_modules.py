"""A network of the user's own: what works, and every way in which it may not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]
Listing = Callable[[Path], list[str]]

SOURCE = """
import torch
from torch import nn

from rtseg.networks.spec import SegmentationNetwork


def small(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, classes, 3, 2, 1))


def raises(classes):
    raise ValueError("no\\nweights here")


def leaves(classes):
    raise SystemExit(0)


def builds_a_number(classes):
    return classes


def takes_nothing():
    return small(11)


def one_class_more(classes):
    return small(classes + 1)


not_callable = 11


class Around(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = small(classes)


class Fails(Around):
    def forward(self, image):
        raise RuntimeError("out of order")


class GivesText(Around):
    def forward(self, image):
        return "labels"


class GivesNothing(Around):
    def forward(self, image):
        return ()


class GivesLabels(Around):
    def forward(self, image):
        return self.inner(image).argmax(1)


class BranchesOnValues(Around):
    def forward(self, image):
        logits = self.inner(image)
        return logits * 2 if image.mean() == 0 else logits - 7


class DrawsAtRandom(Around):
    def forward(self, image):
        logits = self.inner(image)
        return logits + torch.rand_like(logits)


class SearchesItsValues(Around):
    def forward(self, image):
        logits = self.inner(image)
        return logits + torch.nonzero(logits > 1e9).sum()


class WrongNormalization(Around):
    normalization = "imagenet"

    def forward(self, image):
        return self.inner(image)


class WrongStride(SegmentationNetwork):
    stride = 8

    def __init__(self, classes):
        super().__init__()
        self.inner = small(classes)

    def forward(self, images):
        return self.inner(images)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with the user's modules in it."""
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "unfinished.py").write_text("x = (")
    (tmp_path / "divides.py").write_text("1 / 0")
    (tmp_path / "needs.py").write_text("import no_such_package")
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in {"mine", "unfinished", "divides", "needs", "exits"} - before:
        sys.modules.pop(name, None)


@pytest.fixture
def export_refused(home: Path, refused: Refused, files_in: Listing) -> Callable[[str], str]:
    """Export a reference, which has to fail and to leave nothing but the sources."""

    def message(reference: str, *arguments: str) -> str:
        before = files_in(home)
        told = refused("export", "--module", reference, "--classes", "11", "--resolution", "64x64", *arguments)
        assert files_in(home) == before
        return told

    return message


def test_a_network_of_ones_own_is_exported_and_run(
    home: Path, cli: Callable[..., Any], picture: Path, files_in: Listing
) -> None:
    export = ("export", "--module", "mine:small", "--classes", "11", "--resolution", "64x64", "-o", "mine.onnx")
    outcome = cli(*export)
    assert (outcome.code, outcome.out) == (0, "mine.onnx\n")
    assert cli("run", "mine.onnx", picture, "-o", "out").code == 0
    assert files_in(home / "out") == ["picture_labels.png", "picture_overlay.png", "summary.json"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("mine", "not a reference to a factory; got 'mine'; expected package.module:factory"),
        (":small", "not a reference to a factory"),
        (".mine:small", "not a reference to a factory"),
        ("no_such_module:f", "cannot import no_such_module:f: No module named 'no_such_module'"),
        ("mine:smal", "cannot import mine:smal: mine has no smal"),
        ("needs:f", "cannot import needs:f: No module named 'no_such_package'"),
        ("unfinished:f", "importing unfinished failed: SyntaxError: '(' was never closed (unfinished.py, line 1)"),
        ("divides:f", "importing divides failed: ZeroDivisionError: division by zero"),
        ("exits:f", "importing exits failed: SystemExit: 0"),
        ("mine:raises", "mine:raises(classes=11) failed: ValueError: no weights here"),
        ("mine:leaves", "mine:leaves(classes=11) failed: SystemExit: 0"),
        ("mine:takes_nothing", "mine:takes_nothing(classes=11) failed: TypeError: takes_nothing() got an unexpected"),
        ("mine:not_callable", "mine:not_callable(classes=11) failed: TypeError: 'int' object is not callable"),
        ("mine:builds_a_number", "mine:builds_a_number did not return a torch.nn.Module; got int"),
        (
            "mine:one_class_more",
            "no output of mine:one_class_more has the shape of logits; got the output (1, 12, 16, 16)",
        ),
        ("mine:Fails", "mine:Fails fails on a float32 (1, 3, 64, 64) image: RuntimeError: out of order"),
        ("mine:GivesText", "mine:GivesText gives no logits; got no tensor"),
        ("mine:GivesNothing", "mine:GivesNothing gives no logits; got no tensor"),
        ("mine:GivesLabels", "mine:GivesLabels gives no logits; got torch.int64"),
        ("mine:WrongNormalization", "mine:WrongNormalization offers a normalization of another type; got str"),
        ("mine:WrongStride", "mine:WrongStride states another stride than its logits have; got 8; expected 4"),
        ("mine:BranchesOnValues", "mine-BranchesOnValues-camvid-64x64.onnx disagrees with torch on"),
        ("mine:DrawsAtRandom", "mine-DrawsAtRandom-camvid-64x64.onnx disagrees with torch on random input"),
        ("mine:SearchesItsValues", "mine-SearchesItsValues-camvid-64x64.onnx computes shapes at run time; got NonZero"),
    ],
)
def test_a_module_that_breaks_the_contract_is_refused_with_the_reason(
    export_refused: Callable[..., str], reference: str, words: str
) -> None:
    assert export_refused(reference, "--classes", "camvid").startswith(words)


def test_options_of_a_network_of_ones_own_are_refused_and_not_ignored(export_refused: Callable[..., str]) -> None:
    message = export_refused("mine:small", "--option", "fusion=ewa")
    assert message == "a network of your own has no options; got fusion. Try: write a factory for each variant"


def test_a_name_and_a_module_together_are_refused(home: Path, refused: Refused) -> None:
    message = refused("export", "affnet", "--module", "mine:small", "--resolution", "64x64")
    assert message == "both a network and a factory are given; got affnet and mine:small; expected one of them"
