from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor, nn

from rtseg.artifacts.details import ExportDetails
from rtseg.datasets.registry import class_spec
from rtseg.errors import ParityError
from rtseg.exporting.cache import cached_export
from rtseg.exporting.network_form import form_for, written_for
from rtseg.exporting.onnx_file import default_name, export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.networks.complexity import meta_network
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.registry import network_names, network_spec
from rtseg.networks.spec import SegmentationNetwork
from rtseg.specs import IMAGENET_NORMALIZATION, TARGETS, Resolution

SIZE = Resolution(16, 24)
CLASSES = class_spec("camvid")

pytestmark = pytest.mark.usefixtures("one_core")


class Plain(SegmentationNetwork):
    """One convolution."""

    stride = 2
    align_corners = False

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, len(CLASSES), 3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layer(images)  # type: ignore[no-any-return]


class OnCpu(Plain):
    """The same in other operators."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layer(images).neg().neg()


class OnGpu(Plain):
    """The same in other operators."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layer(images) * 2 / 2  # type: ignore[no-any-return]


class WithForms(Plain):
    """A network with a form for each."""

    gpu_form: type[Plain] = OnGpu

    def for_inference(self) -> SegmentationNetwork:
        """Return the form for a CPU."""
        return self._with_weights(OnCpu())

    def for_gpu(self, resolution: Resolution) -> SegmentationNetwork:
        """Return the form for a GPU."""
        assert resolution == SIZE
        return self._with_weights(self.gpu_form())

    def _with_weights(self, other: Plain) -> Plain:
        other.load_state_dict(self.state_dict())
        return other.eval()


class WithWrongForm(WithForms):
    """A network whose form for a GPU has other logits."""

    class gpu_form(Plain):  # noqa: N801
        """Twice as large."""

        def forward(self, images: Tensor) -> Tensor:
            """Return other logits."""
            return 2 * self.layer(images)  # type: ignore[no-any-return]


def prepared(module: SegmentationNetwork) -> PreparedNetwork:
    return PreparedNetwork("it", module.eval(), CLASSES, IMAGENET_NORMALIZATION, "random")


@pytest.mark.parametrize(
    ("target", "form", "operator"),
    [("tensorrt", OnGpu, "Div"), ("onnxruntime", OnCpu, "Neg"), ("openvino", OnCpu, "Neg")],
)
def test_each_target_is_given_its_form(target: str, form: type[Plain], operator: str, tmp_path: Path) -> None:
    network = WithForms()
    assert isinstance(form_for(network, target, SIZE), form)
    exported = export_onnx(prepared(network), SIZE, tmp_path / "it.onnx", target=target)
    assert operator in {node.op_type for node in read_canonical(exported.artifact.path).graph.node}
    details = exported.artifact.manifest.details
    assert isinstance(details, ExportDetails) and details.written_for == ("gpu" if target == "tensorrt" else "cpu")


def test_a_form_with_other_logits_is_never_exported(tmp_path: Path) -> None:
    with pytest.raises(ParityError):
        export_onnx(prepared(WithWrongForm()), SIZE, tmp_path / "it.onnx", target="tensorrt")
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_one_form_is_for_every_target(tmp_path: Path) -> None:
    network = Plain()
    assert {written_for(network, target) for target in TARGETS} == {""}
    assert default_name(prepared(network), SIZE, "logits", "tensorrt") == "it-camvid-16x24.onnx"
    written = export_onnx(prepared(network), SIZE, tmp_path / "it.onnx", target="tensorrt")
    details = written.artifact.manifest.details
    assert isinstance(details, ExportDetails) and details.written_for == ""


def test_a_form_for_the_gpu_has_a_name_of_its_own() -> None:
    network = prepared(WithForms())
    assert default_name(network, SIZE, "logits", "tensorrt") == "it-camvid-16x24.gpu.onnx"
    assert default_name(network, SIZE, "labels", "tensorrt") == "it-camvid-16x24.labels.gpu.onnx"
    assert default_name(network, SIZE, "logits", "openvino") == "it-camvid-16x24.onnx"


def test_the_cache_has_a_file_for_each_form_and_one_for_a_network_of_one_form() -> None:
    for network, files in ((prepared(WithForms()), 2), (prepared(Plain()), 1)):
        assert len({cached_export(network, SIZE, "logits", target=target) for target in TARGETS}) == files


@pytest.mark.parametrize("name", network_names())
def test_every_registered_network_says_what_its_forms_are_for(name: str) -> None:
    module = meta_network(network_spec(name), len(CLASSES))
    assert [written_for(module, target) for target in TARGETS] in (["", "", ""], ["gpu", "cpu", "cpu"])
