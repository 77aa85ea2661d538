from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor, nn

from rtseg.artifacts.manifest import manifest_path
from rtseg.cli.show.export_text import export_text
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.errors import NetworkError, OnnxError, ParityError
from rtseg.exporting.onnx_file import default_name, export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.networks.spec import SegmentationNetwork
from rtseg.runners.loading import load
from rtseg.runners.torch import TorchRunner
from rtseg.specs import INTERFACES, Normalization, Resolution

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


class Faulty(Plain):
    """What it is rewritten to for the export has another weight."""

    def for_inference(self) -> SegmentationNetwork:
        rewritten = copy.deepcopy(self)
        rewritten.conv.weight.data[1, 2, 3, 3] += 0.1
        return rewritten


class Choosing(SegmentationNetwork):
    """Chooses the larger of two values that so large an offset stands on that FP32 takes many pairs for equal.

    Another scale chooses the same to within rounding, and takes other pairs for equal; another weight does not.
    """

    stride = 1

    def __init__(self, scale: float = 1.0, weight: float = 1.0, rewritten: SegmentationNetwork | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.conv.weight.data.copy_(torch.tensor([[weight, 0.0, 0.0], [0.0, 1.0, 0.0]]).view(2, 3, 1, 1))
        self.scale = scale
        self.rewritten = rewritten

    def forward(self, images: Tensor) -> Tensor:
        values = self.conv(images) * self.scale + 2.0**20
        first = 2 * (values[:, :1] > values[:, 1:]).to(values.dtype) - 1
        return torch.cat([first, -first], 1)

    def for_inference(self) -> SegmentationNetwork:
        return self.rewritten or self


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
    report = export_onnx(prepared(Plain()), SIZE, tmp_path / "net.onnx", images=[picture, picture]).parity
    assert [entry.input for entry in report.inputs] == [
        "random input",
        "large input of both signs",
        "picture 1",
        "picture 2",
    ]
    assert max(entry.relative_difference for entry in report.inputs) < 1e-5


def test_a_file_that_disagrees_with_its_network_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"net\.onnx disagrees with torch on random input"):
        export_onnx(prepared(Forgetful()), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_in_one_weight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ParityError, match=r"from FP64 .* at most 2 times what torch has in FP32: 0\.000% of the logits"
    ):
        export_onnx(prepared(Faulty()), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interface", INTERFACES)
def test_choices_that_rounding_decides_are_exported_and_the_manifest_tells_of_fp64(
    tmp_path: Path, interface: str
) -> None:
    network = prepared(Choosing(rewritten=Choosing(scale=1.1)))
    exported = export_onnx(network, SIZE, tmp_path / "net.onnx", interface=interface)
    told, _ = json.loads(manifest_path(tmp_path / "net.onnx").read_text())["details"]["parity"]["inputs"]
    assert told["passed"] == "fp64"
    reference, candidate = told["fp64"]["reference"], told["fp64"]["candidate"]
    assert 0.005 < reference["label_disagreement"] < candidate["label_disagreement"] * 2 < 0.1
    assert (reference["outliers"] == 0) == (interface == "labels")
    text = export_text(exported.artifact, "no pictures")
    assert f"\non {told['input']} rounding decides: compared with FP64, onnxruntime has " in text
    assert ("logits off" in text) == (interface != "labels")


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_fault_in_a_network_whose_choices_rounding_decides_is_refused(tmp_path: Path, interface: str) -> None:
    network = prepared(Choosing(rewritten=Choosing(scale=1.1, weight=2.0)))
    with pytest.raises(ParityError, match=r"net\.onnx disagrees with torch on random .* other labels"):
        export_onnx(network, SIZE, tmp_path / "net.onnx", interface=interface)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_says_something_else_each_time_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="FP64 cannot decide whether rounding explains it: torch gives other"):
        export_onnx(prepared(Forgetful()), SIZE, tmp_path / "net.onnx")


def test_an_export_within_the_floors_does_not_ask_fp64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(TorchRunner, "infer_fp64")
    exported = export_onnx(prepared(Plain()), SIZE, tmp_path / "net.onnx")
    told, _ = exported.artifact.manifest.details.parity["inputs"]
    assert (told["passed"], told["fp64"]) == ("floors", None)
    assert "rounding decides" not in export_text(exported.artifact, "no pictures")


@pytest.mark.slow
@pytest.mark.parametrize("size", ["512x512", "512x1024"])
def test_enet_is_exported_at_the_sizes_of_the_papers(tmp_path: Path, size: str) -> None:
    data = open_dataset("streets", "val")
    images = [data[index].image for index in (0, 1, 8, 27)]
    network = network_with_random_weights("enet", class_spec("cityscapes"))
    report = export_onnx(network, Resolution.parse(size), tmp_path / "net.onnx", images=images).parity
    assert all(entry.passed for entry in report.inputs)


def test_logits_of_another_size_than_the_stride_says_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"got \(1, 2, 8, 8\); expected \(1, 2, 8, 12\)"):
        export_onnx(prepared(OneSizeOnly()), SIZE, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_scores_have_the_pictures_size_whatever_the_network_gives(tmp_path: Path) -> None:
    manifest = export_onnx(prepared(OneSizeOnly()), SIZE, tmp_path / "net.onnx", interface="scores").artifact.manifest
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
