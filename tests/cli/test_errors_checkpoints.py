"""Weights that are damaged, belong to another network, or carry code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from rtseg.artifacts.manifest import manifest_path, read_manifest, write_manifest
from rtseg.datasets.registry import class_spec
from rtseg.networks.checkpoints import save_checkpoint
from rtseg.networks.prepared import network_with_random_weights
from rtseg.specs import Resolution

Refused = Callable[..., str]


@pytest.fixture
def export_refused(refused: Refused, tmp_path: Path) -> Callable[..., str]:
    """Export affnet with a bad checkpoint, which has to fail and to leave nothing at the target."""

    def message(checkpoint: Path, *arguments: str, network: str = "affnet") -> str:
        target = tmp_path / "target" / "x.onnx"
        told = refused("export", network, "--resolution", "64x64", "--checkpoint", checkpoint, "-o", target, *arguments)
        assert not target.parent.exists()
        return told

    return message


@pytest.fixture
def checkpoint(weights: Path, tmp_path: Path) -> Path:
    path = tmp_path / "affnet.safetensors"
    path.write_bytes(weights.read_bytes())
    manifest_path(path).write_bytes(manifest_path(weights).read_bytes())
    return path


def replace_content(path: Path, content: bytes) -> None:
    """Put other bytes under the manifest and sign it anew."""
    manifest = read_manifest(path, kind="checkpoint")
    path.write_bytes(content)
    write_manifest(path, manifest)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_code_in_a_pickle_is_never_run(export_refused: Callable[..., str], tmp_path: Path) -> None:
    torch.save({"weight": Payload(tmp_path / "created")}, tmp_path / "evil.pth")
    message = export_refused(tmp_path / "evil.pth")
    assert "evil.pth holds more than weights; nothing in it was run; got io.open" in message
    assert not (tmp_path / "created").exists()


def test_a_whole_pickled_module_of_another_network_is_refused(
    export_refused: Callable[..., str], tmp_path: Path
) -> None:
    torch.save(nn.Conv2d(3, 4, 1), tmp_path / "module.pth")
    assert "module.pth does not fit affnet; got 2 unknown keys (bias, ...)" in export_refused(tmp_path / "module.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the old format"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_pth_is_refused(
    export_refused: Callable[..., str], tmp_path: Path, share: float, zipped: bool
) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"weight": torch.zeros(64, 64)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "is not a PyTorch file, or only a part of one" in export_refused(path)


@pytest.mark.parametrize("content", [b"hello world", b"\x80\x02", b"PK\x03\x04"], ids=["text", "pickle", "zip"])
def test_what_is_no_pth_is_refused(export_refused: Callable[..., str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    assert export_refused(tmp_path / "x.pth").startswith(f"{tmp_path / 'x.pth'} ")


@pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, torch.zeros(3)], ids=["empty", "list", "number", "tensor"])
def test_a_pth_of_something_else_is_refused(
    export_refused: Callable[..., str], tmp_path: Path, content: object
) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert "is not a state_dict" in export_refused(tmp_path / "x.pth")


def test_a_pth_of_another_network_is_refused(export_refused: Callable[..., str], tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "other.pth")
    message = export_refused(tmp_path / "other.pth")
    assert "other.pth does not fit affnet; got 2 unknown keys (bias, ...); expected" in message


def test_a_pth_for_another_number_of_classes_is_refused(
    export_refused: Callable[..., str], weights: Path, tmp_path: Path
) -> None:
    torch.save(load_file(weights), tmp_path / "camvid.pth")
    message = export_refused(tmp_path / "camvid.pth", "--classes", "cityscapes")
    assert "does not fit affnet with 19 classes" in message
    assert "Try: pass --classes with the number it was trained for" in message


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_a_checkpoint_that_does_not_exist_is_refused(
    export_refused: Callable[..., str], tmp_path: Path, name: str
) -> None:
    assert export_refused(tmp_path / name).startswith(f"cannot read {tmp_path / name}: No such file")


def test_a_folder_is_no_checkpoint(export_refused: Callable[..., str], tmp_path: Path) -> None:
    assert export_refused(tmp_path).startswith(f"cannot read {tmp_path}: it is a folder")


def test_an_exported_file_is_no_checkpoint(export_refused: Callable[..., str], exported: Path) -> None:
    assert export_refused(exported).endswith("is another kind of artifact; got onnx; expected checkpoint")


def test_a_safetensors_of_another_network_is_refused(export_refused: Callable[..., str], checkpoint: Path) -> None:
    message = export_refused(checkpoint, network="s2fpn18")
    assert message.endswith("holds another network; got affnet; expected s2fpn18. Try: pass the name affnet")


def test_a_safetensors_of_other_classes_is_refused(export_refused: Callable[..., str], checkpoint: Path) -> None:
    message = export_refused(checkpoint, "--classes", "cityscapes")
    assert "was trained for other classes; got camvid with 11 classes; expected cityscapes with 19 classes" in message


def test_the_classes_of_a_checkpoint_may_get_other_colours(
    cli: Callable[..., Any], weights: Path, tmp_path: Path
) -> None:
    names = class_spec("camvid").names
    colours = [[index, 0, 255 - index] for index in range(len(names))]
    (tmp_path / "classes.toml").write_text(f"names = {list(names)}\npalette = {colours}\n")
    path = tmp_path / "coloured.onnx"
    arguments = ("--classes", tmp_path / "classes.toml", "--resolution", "64x64", "--images", "0", "-o", path)
    assert cli("export", "--checkpoint", weights, *arguments).code == 0
    assert read_manifest(path, kind="onnx").output.classes.palette == tuple(map(tuple, colours))


def test_a_safetensors_without_its_manifest_needs_the_name_of_its_network(refused: Refused, checkpoint: Path) -> None:
    manifest_path(checkpoint).unlink()
    message = refused("export", "--resolution", "64x64", "--checkpoint", checkpoint)
    assert message.startswith(f"{checkpoint} has no manifest beside it, which would name its network. Try: ")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_safetensors_is_refused_even_when_signed(
    export_refused: Callable[..., str], checkpoint: Path, share: float
) -> None:
    replace_content(checkpoint, checkpoint.read_bytes()[: int(checkpoint.stat().st_size * share)])
    assert "is not a whole safetensors file" in export_refused(checkpoint)


def test_a_safetensors_of_other_tensors_is_refused_even_when_signed(
    export_refused: Callable[..., str], checkpoint: Path
) -> None:
    replace_content(checkpoint, save({"weight": torch.zeros(3)}))
    assert "does not fit affnet; got 1 unknown keys (weight, ...)" in export_refused(checkpoint)


def test_a_checkpoint_does_not_decide_which_code_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "planted.py").write_text(f"open({str(ran)!r}, 'w')\n")
    planted = replace(network_with_random_weights("affnet", class_spec("camvid")), name="planted:factory")
    save_checkpoint(tmp_path / "planted.safetensors", planted, Resolution(64, 64))
    monkeypatch.chdir(tmp_path)
    message = refused("export", "--checkpoint", "planted.safetensors", "--resolution", "64x64")
    assert message.endswith("Try: pass --module planted:factory, if you trust it")
    assert not ran.exists()


def test_a_word_of_a_manifest_names_no_file_outside_the_folder(
    cli: Callable[..., Any], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    shutil.copy(weights, inside / "x.safetensors")
    facts = json.loads(manifest_path(weights).read_text())
    facts["output"]["classes"]["dataset"] = "x/../../ESCAPED/evil"
    manifest_path(inside / "x.safetensors").write_text(json.dumps(facts))
    monkeypatch.chdir(inside)
    assert cli("export", "x.safetensors", "--resolution", "64x64", "--images", "0").code == 0
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.onnx"))
    assert made == ["a/b/affnet-x-ESCAPED-evil-64x64.onnx"]
