"""The cache of exports: found by weights, contracts and code, and made again where any of them changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rtseg
from rtseg.artifacts.manifest import manifest_path, read_manifest
from rtseg.datasets.registry import class_spec
from rtseg.errors import ParityError
from rtseg.exporting import cache as export_cache
from rtseg.exporting import onnx_file
from rtseg.exporting.cache import cached_export, digest_of, imported_files
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import Normalization, Resolution

PACKAGE = Path(rtseg.__file__).parent
SIZE = Resolution(32, 48)

pytestmark = pytest.mark.usefixtures("one_core")


class Plain(SegmentationNetwork):
    """Logits from one strided convolution."""

    stride = 4
    align_corners = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 2, 4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images)  # type: ignore[no-any-return]


class Forgetful(Plain):
    """Says something else each time, so no file can agree with it."""

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) + torch.randn(1)  # type: ignore[no-any-return]


def prepared(module: SegmentationNetwork, classes: str = "2") -> PreparedNetwork:
    return PreparedNetwork("mine:net", module.eval(), class_spec(classes), Normalization(), "made by hand")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_time_the_export_is_found_and_not_made(cache: Path) -> None:
    first = cached_export(prepared(Plain()), SIZE, "logits")
    made = first.stat().st_ino
    assert cached_export(prepared(Plain()), SIZE, "logits") == first
    assert first.stat().st_ino == made
    assert first.parent == cache / "exports"
    assert first.name.startswith("mine-net-2classes-32x48-") and first.suffix == ".onnx"


def test_other_weights_sizes_and_interfaces_make_other_exports() -> None:
    changed = Plain()
    changed.conv.weight.data[0, 0, 0, 0] += 1
    paths = [
        cached_export(prepared(Plain()), SIZE, "logits"),
        cached_export(prepared(changed), SIZE, "logits"),
        cached_export(prepared(Plain()), Resolution(48, 32), "logits"),
        cached_export(prepared(Plain()), SIZE, "labels"),
    ]
    assert len(set(paths)) == 4
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("damage", ["file", "manifest", "no manifest"])
def test_a_damaged_export_is_made_again(damage: str) -> None:
    path = cached_export(prepared(Plain()), SIZE, "logits")
    if damage == "no manifest":
        manifest_path(path).unlink()
    else:
        (path if damage == "file" else manifest_path(path)).write_bytes(b"damaged")
    assert cached_export(prepared(Plain()), SIZE, "logits") == path
    assert read_manifest(path, kind="onnx").network == "mine:net"


def test_an_export_that_fails_is_not_in_the_cache(cache: Path) -> None:
    for _ in range(2):
        with pytest.raises(ParityError):
            cached_export(prepared(Forgetful()), SIZE, "logits")
    assert {path.suffix for path in (cache / "exports").iterdir()} == {".lock"}


def test_a_cache_that_can_only_be_read_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cached_export(prepared(Plain()), SIZE, "logits")

    def refused(*arguments: object) -> None:
        raise AssertionError("an export that is there needs no lock")

    monkeypatch.setattr(export_cache.EXPORTS, "locked", refused)
    assert cached_export(prepared(Plain()), SIZE, "logits") == path


# The code


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of rtseg's modules."""
    folder = tmp_path_factory.mktemp("copy") / "rtseg"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "native"))
    return folder


def code_of(package: Path) -> str:
    entry = package / Path(onnx_file.__file__).relative_to(PACKAGE)
    return digest_of(imported_files(entry, package))


def changed(file: Path) -> str:
    """Return the code's digest with that file of a copy changed, which is undone again."""
    package = next(folder for folder in file.parents if folder.name == "rtseg")
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"\n# changed\n")
        return code_of(package)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "exporting/onnx_file.py",
        "exporting/parity.py",
        "exporting/simplify.py",
        "exporting/static_graph.py",
        "graphs/canonical.py",
        "networks/spec.py",
        "networks/zoo/affnet.py",
        "networks/zoo/affnet_inference.py",
        "frame/bilinear.py",
        "specs/__init__.py",
    ],
)
def test_a_change_of_what_decides_the_export_changes_the_key(copy: Path, name: str) -> None:
    assert changed(copy / name) != code_of(copy)


@pytest.mark.parametrize(
    "name", ["cli/__init__.py", "errors.py", "artifacts/files.py", "training/fit.py", "__init__.py"]
)
def test_a_change_of_anything_else_does_not(copy: Path, name: str) -> None:
    assert changed(copy / name) == code_of(copy) == code_of(PACKAGE)


def test_a_new_import_brings_its_module_into_the_key(copy: Path) -> None:
    entry, late = copy / "exporting" / "onnx_file.py", copy / "exporting" / "late.py"
    content = entry.read_text()
    late.write_text("X = 1\n")
    before = code_of(copy)
    try:
        entry.write_text(content + "\n\ndef inside():\n    from rtseg.exporting import late\n")
        assert late in imported_files(entry, copy)
        assert code_of(copy) != before
    finally:
        entry.write_text(content)
        late.unlink()


def test_every_module_of_rtseg_that_an_export_loads_and_that_defines_a_network_is_in_the_key() -> None:
    files = imported_files(Path(onnx_file.__file__), PACKAGE)
    assert files >= set((PACKAGE / "networks" / "zoo").glob("*.py"))


def test_a_change_of_the_code_makes_a_new_file(monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_export(prepared(Plain()), SIZE, "logits")
    monkeypatch.setattr(export_cache, "code_of", lambda module: "another")
    assert cached_export(prepared(Plain()), SIZE, "logits") != first


def test_the_files_of_a_users_own_network_are_in_the_key() -> None:
    assert export_cache._files_of_classes(prepared(Plain())) == {Path(__file__)}
