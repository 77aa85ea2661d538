"""Networks that end by resizing their logits to the picture: the file has the logits, and the labels stay."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtseg.artifacts.manifest import manifest_path
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.errors import ParityError, SpecError
from rtseg.exporting import foreign, onnx_file
from rtseg.exporting.foreign import ImportedOnnx, canonical_import
from rtseg.exporting.foreign_contract import ContractOptions
from rtseg.exporting.last_resize import LastResize, last_resize
from rtseg.exporting.onnx_file import Exported, export_onnx
from rtseg.frame.preprocess import tensor_from_image
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.contract import stated_manifest
from rtseg.networks.factories import network_from_factory
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.registry import network_spec
from rtseg.runners.loading import load
from rtseg.specs import IMAGENET_NORMALIZATION, Resolution
from tests.observers import Recorder

SIZE = Resolution(64, 96)

pytestmark = pytest.mark.usefixtures("one_core")

End = Callable[[Tensor, Tensor], Tensor]


class Ending(nn.Module):
    """Logits at stride 8, and an end."""

    def __init__(self, classes: int, end: End) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.SiLU(), nn.Conv2d(16, classes, 3, padding=1))
        self.end = end

    def forward(self, images: Tensor) -> Tensor:
        return self.end(self.conv(images), images)


def to_picture(**options: object) -> End:
    return lambda logits, images: F.interpolate(logits, images.shape[2:], **options)  # type: ignore[arg-type]


ALIGNED, HALF_PIXEL = to_picture(mode="bilinear", align_corners=True), to_picture(mode="bilinear")
CUT: dict[str, tuple[End, bool]] = {
    "aligned": (ALIGNED, True),
    "half pixel": (HALF_PIXEL, False),
    "by a factor": (lambda logits, images: F.interpolate(logits, scale_factor=8, mode="bilinear"), False),
}
KEPT: dict[str, End] = {
    "nearest": to_picture(mode="nearest"),
    "bicubic": to_picture(mode="bicubic"),
    "a softmax comes after": lambda logits, images: HALF_PIXEL(logits, images).softmax(1),
    "no Resize": lambda logits, images: F.pixel_shuffle(logits.repeat(1, 64, 1, 1), 8),
    "to half of the picture": lambda logits, images: F.interpolate(logits, scale_factor=4, mode="bilinear"),
    "from another shape": lambda logits, images: HALF_PIXEL(logits[:, :, :7], images),
    "by different factors": lambda logits, images: HALF_PIXEL(logits[:, :, ::2], images),
}


def own(end: End, classes: str = "camvid") -> PreparedNetwork:
    """Return a user's network with that end, as --module makes it."""
    home = ModuleType("network_with_an_end")
    home.network = lambda classes: Ending(classes, end)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, home.__name__, home)
        return network_from_factory(f"{home.__name__}:network", class_spec(classes), resolution=SIZE)


def require_labels_of_pytorch(exported: Exported, network: PreparedNetwork) -> None:
    picture = open_dataset(f"streets:{SIZE}", "val")[0].image
    given = tensor_from_image(picture, exported.artifact.manifest.image, threads=1)
    with load(exported.artifact.path) as segmenter, torch.inference_mode():
        labels = segmenter(picture)
        scores = network.module(torch.from_numpy(given)[None])[0]
    expected = scores[0] > network.threshold if network.threshold is not None else scores.argmax(0)
    assert expected.shape == labels.shape and len(np.unique(labels)) > 1
    assert np.mean(expected.numpy() == labels) > 0.999


def last_operator(exported: Exported) -> str:
    return str(onnx.load(exported.artifact.path).graph.node[-1].op_type)


@pytest.mark.parametrize(("end", "align_corners"), CUT.values(), ids=CUT.keys())
def test_the_file_has_the_logits_before_the_resize_and_gives_the_labels_after_it(
    end: End, align_corners: bool, tmp_path: Path
) -> None:
    network, observer = own(end), Recorder()
    exported = export_onnx(network, SIZE, tmp_path / "net.onnx", observer=observer)
    output = exported.artifact.manifest.output
    assert (last_operator(exported), output.stride, output.align_corners) == ("Conv", 8, align_corners)
    assert len(observer.notes) == 1 and "from 8x12 to 64x96: the file gives them at stride 8" in observer.notes[0]
    require_labels_of_pytorch(exported, network)


@pytest.mark.parametrize("end", KEPT.values(), ids=KEPT.keys())
def test_another_end_stays(end: End, tmp_path: Path) -> None:
    observer = Recorder()
    exported = export_onnx(own(end), SIZE, tmp_path / "net.onnx", observer=observer)
    assert (last_operator(exported) != "Conv", observer.notes) == (True, [])


@pytest.mark.parametrize("interface", ["scores", "labels"])
def test_other_interfaces_keep_it(interface: str, tmp_path: Path) -> None:
    exported = export_onnx(own(ALIGNED), SIZE, tmp_path / "net.onnx", interface=interface)
    assert "Resize" in {node.op_type for node in onnx.load(exported.artifact.path).graph.node}


def test_one_channel_is_compared_with_its_threshold_after_upsampling(tmp_path: Path) -> None:
    network = own(lambda logits, images: HALF_PIXEL(logits[:, :1], images), "2")
    exported = export_onnx(network, SIZE, tmp_path / "net.onnx")
    output = exported.artifact.manifest.output
    assert (output.stride, output.threshold) == (8, 0.0)
    require_labels_of_pytorch(exported, network)


def with_the_wrong_rule(model: onnx.ModelProto, resolution: Resolution) -> LastResize:
    found = last_resize(model, resolution)
    assert found is not None
    return replace(found, align_corners=not found.align_corners)


def test_a_wrong_rule_is_refused_and_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "last_resize", with_the_wrong_rule)
    with pytest.raises(ParityError):
        export_onnx(own(ALIGNED), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_registered_network_is_written_as_it_is(tmp_path: Path) -> None:
    registered = replace(own(ALIGNED), spec=network_spec("fcn8s"))
    assert last_operator(export_onnx(registered, SIZE, tmp_path / "net.onnx")) == "Resize"


# Other exporters' files


class Theirs(NamedTuple):
    """A file as PyTorch writes it, and the network in it."""

    path: Path
    module: nn.Module


SAID = ContractOptions(class_spec("camvid"), IMAGENET_NORMALIZATION)


def theirs(end: End, folder: Path, classes: int = 11) -> Theirs:
    torch.manual_seed(0)
    made = Theirs(folder / "mine.onnx", Ending(classes, end).eval())
    picture = torch.zeros(1, 3, SIZE.height, SIZE.width)
    torch.onnx.export(made.module, (picture,), made.path, dynamo=False)  # type: ignore[arg-type]
    return made


def require_their_labels(imported: ImportedOnnx, made: Theirs) -> None:
    picture = open_dataset(f"streets:{SIZE}", "val")[0].image
    given = tensor_from_image(picture, imported.artifact.manifest.image, threads=1)
    with load(imported.artifact.path) as segmenter, torch.inference_mode():
        labels, answer = segmenter(picture), made.module(torch.from_numpy(given)[None])[0]
    expected = answer if answer.ndim == 2 else answer.argmax(0)
    assert expected.shape == labels.shape and len(np.unique(labels)) > 1
    assert np.mean(expected.numpy() == labels) > 0.999


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch, about its older exporter
@pytest.mark.parametrize(("end", "align_corners"), CUT.values(), ids=CUT.keys())
def test_an_imported_file_has_the_logits_before_the_resize_too(end: End, align_corners: bool, tmp_path: Path) -> None:
    made = theirs(end, tmp_path)
    imported = canonical_import(made.path, said=SAID)
    output = imported.artifact.manifest.output
    assert (output.interface, output.stride, output.align_corners) == ("logits", 8, align_corners)
    model = read_canonical(imported.artifact.path)
    assert "Resize" not in {node.op_type for node in model.graph.node}
    assert "mine.onnx ends with a Resize of its logits from 8x12 to 64x96" in imported.account
    assert stated_manifest(imported.artifact.path).output == output
    require_their_labels(imported, made)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_argmax_behind_the_resize_goes_first(tmp_path: Path) -> None:
    made = theirs(lambda logits, images: HALF_PIXEL(logits, images).argmax(1), tmp_path)
    imported = canonical_import(made.path, said=SAID)
    assert imported.artifact.manifest.output.stride == 8
    require_their_labels(imported, made)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("end", KEPT.values(), ids=KEPT.keys())
def test_an_imported_file_keeps_another_end(end: End, tmp_path: Path) -> None:
    imported = canonical_import(theirs(end, tmp_path).path, said=replace(SAID, align_corners=False))
    assert "ends with a Resize" not in imported.account
    assert read_canonical(imported.artifact.path).graph.node[-1].op_type != "Conv"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_imported_file_keeps_the_resize_for_whoever_wants_scores(tmp_path: Path) -> None:
    imported = canonical_import(theirs(ALIGNED, tmp_path).path, said=replace(SAID, interface="scores"))
    assert imported.artifact.manifest.output.interface == "scores"
    assert read_canonical(imported.artifact.path).graph.node[-1].op_type == "Resize"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("end", "align_corners"), [(ALIGNED, False), (HALF_PIXEL, True)])
def test_a_rule_that_is_not_the_graphs_is_refused(end: End, align_corners: bool, tmp_path: Path) -> None:
    path = theirs(end, tmp_path).path
    with pytest.raises(SpecError, match=r"ends with a Resize of another rule; got --.* Try: leave it out"):
        canonical_import(path, said=replace(SAID, align_corners=align_corners))
    assert canonical_import(path, said=replace(SAID, align_corners=not align_corners)).parity is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scores_are_not_to_be_had_of_a_graph_that_ends_with_small_logits(tmp_path: Path) -> None:
    path = theirs(lambda logits, images: logits, tmp_path).path
    with pytest.raises(SpecError, match=r"gives logits at stride 8; .* Try: leave out --interface scores"):
        canonical_import(path, said=replace(SAID, align_corners=False, interface="scores"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_wrong_rule_of_an_imported_file_is_refused_and_no_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "last_resize", with_the_wrong_rule)
    with pytest.raises(ParityError):
        canonical_import(theirs(ALIGNED, tmp_path).path, said=SAID)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_of_rtseg_that_states_scores_keeps_them(tmp_path: Path) -> None:
    exported = export_onnx(own(ALIGNED), SIZE, tmp_path / "net.onnx", interface="scores")
    manifest_path(exported.artifact.path).unlink()
    assert canonical_import(exported.artifact.path).artifact.manifest.output.interface == "scores"
