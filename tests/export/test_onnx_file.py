from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from rtseg.artifacts import manifest_path, read_manifest
from rtseg.datasets.registry import class_spec
from rtseg.errors import NetworkError, OnnxError, ParityError
from rtseg.export.cache import cached_export
from rtseg.export.onnx_file import default_name, export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.segmenter import load
from rtseg.specs import Normalization, Resolution

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


class OneSizeOnly(Plain):
    """Whatever comes in, 8x8 comes out."""

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(self.conv(images), size=(8, 8))


class Forgetful(Plain):
    """Says something else each time, so no file can agree with it."""

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) + torch.randn(1)  # type: ignore[no-any-return]


def prepared(module: SegmentationNetwork) -> PreparedNetwork:
    return PreparedNetwork("mine:net", module.eval(), class_spec("2"), Normalization(), "made by hand")


def test_the_name_says_network_classes_size_and_interface() -> None:
    network = prepared(Plain())
    assert default_name(network, SIZE, "logits") == "mine-net-2classes-32x48.onnx"
    assert default_name(network, SIZE, "labels") == "mine-net-2classes-32x48.labels.onnx"


def test_pictures_given_to_the_export_are_compared_too(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    _, report = export_onnx(prepared(Plain()), SIZE, tmp_path / "net.onnx", images=[picture, picture])
    assert [entry.input for entry in report.inputs] == ["random input", "picture 1", "picture 2"]
    assert max(entry.relative_difference for entry in report.inputs) < 1e-5


def test_a_file_that_disagrees_with_its_network_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"net\.onnx disagrees with torch on random input"):
        export_onnx(prepared(Forgetful()), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_logits_of_another_size_than_the_stride_says_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"got \(1, 2, 8, 8\); expected \(1, 2, 8, 12\)"):
        export_onnx(prepared(OneSizeOnly()), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_scores_have_the_pictures_size_whatever_the_network_gives(tmp_path: Path) -> None:
    manifest, _ = export_onnx(prepared(OneSizeOnly()), SIZE, tmp_path / "net.onnx", interface="scores")
    assert manifest.output.interface == "scores"
    with load(tmp_path / "net.onnx", threads=1) as segmenter:
        assert segmenter(np.zeros((9, 9, 3), np.uint8)).shape == (9, 9)


# The canonical contract


def model(operator: str = "Relu", shape: tuple[object, ...] = (1, 3), opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "output")]
    graph = helper.make_graph([helper.make_node(operator, ["image"], ["output"])], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def read(folder: Path, proto: onnx.ModelProto) -> onnx.ModelProto:
    onnx.save(proto, folder / "m.onnx")
    return read_canonical(folder / "m.onnx")


def test_a_canonical_file_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, model()) == model()


def test_another_opset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match=r"another opset; got \{'ai.onnx': 18\}; expected \{'ai.onnx': 17\}"):
        read(tmp_path, model(opset=18))


def test_another_ir_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="another IR version; got 9; expected 8"):
        read(tmp_path, model(ir=9))


def test_a_dynamic_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="has a dynamic shape; got image; expected static sizes"):
        read(tmp_path, model(shape=("batch", 3)))


def test_a_graph_that_computes_shapes_is_refused(tmp_path: Path) -> None:
    proto = model()
    proto.graph.node.append(helper.make_node("Shape", ["image"], ["sizes"]))
    with pytest.raises(OnnxError, match="computes shapes at run time; got Shape"):
        read(tmp_path, proto)


def test_an_unknown_operator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="is not valid ONNX"):
        read(tmp_path, model("NoSuchOperator"))


def test_shapes_that_contradict_one_another_are_refused(tmp_path: Path) -> None:
    proto = model()
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    with pytest.raises(OnnxError, match="is not valid ONNX"):
        read(tmp_path, proto)


@pytest.mark.parametrize("content", [b"", b"no graph at all"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OnnxError):
        read_canonical(tmp_path / "m.onnx")


# The cache


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_second_time_the_export_is_found_and_not_made(cache: Path) -> None:
    first = cached_export(prepared(Plain()), SIZE, "logits")
    made = first.stat().st_mtime_ns
    assert cached_export(prepared(Plain()), SIZE, "logits") == first
    assert first.stat().st_mtime_ns == made
    assert cache in first.parents


def test_other_weights_make_another_export(cache: Path) -> None:
    changed = Plain()
    changed.conv.weight.data[0, 0, 0, 0] += 1
    assert cached_export(prepared(Plain()), SIZE, "logits") != cached_export(prepared(changed), SIZE, "logits")


@pytest.mark.parametrize("damage", ["file", "manifest"])
def test_a_damaged_export_is_made_again(cache: Path, damage: str) -> None:
    path = cached_export(prepared(Plain()), SIZE, "logits")
    (path if damage == "file" else manifest_path(path)).write_bytes(b"damaged")
    assert cached_export(prepared(Plain()), SIZE, "logits") == path
    assert read_manifest(path, kind="onnx").network == "mine:net"
