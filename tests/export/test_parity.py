from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rtseg.errors import ParityError
from rtseg.export.parity import ParityReport, compare
from rtseg.runners.protocol import TensorSpec
from rtseg.runners.torch import TorchRunner
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

SIDE = 64
CLASSES = ClassSpec("", ("one", "other"), ((0, 0, 0), (255, 255, 255)))
IMAGE = ImageSpec(SIDE, SIDE)
OUTPUT = OutputSpec(CLASSES, "logits", 1, False)
SOURCE = TensorSpec("image", (1, 3, SIDE, SIDE), "float32")


class Ramp(nn.Module):
    """Logits that are far apart everywhere, so that labels say nothing of small differences; plus an error."""

    def __init__(self, error: Tensor) -> None:
        super().__init__()
        self.register_buffer("error", error)

    def forward(self, image: Tensor) -> Tensor:
        first = image[:, :1] + 100
        return torch.cat([first, -first], 1) + self.error  # type: ignore[no-any-return]


def report_of(error: Tensor) -> ParityReport:
    runners = [TorchRunner(Ramp(e), SOURCE) for e in (torch.zeros(1, 2, SIDE, SIDE), error)]
    with runners[0] as reference, runners[1] as candidate:
        return compare(reference, candidate, IMAGE, OUTPUT, [])


def error_at(pixels: int, size: float) -> Tensor:
    """Return an error of both logits at that many pixels."""
    error = torch.zeros(1, 2, SIDE * SIDE)
    error[:, :, :pixels] = size
    return error.view(1, 2, SIDE, SIDE)


def test_equal_outputs_agree() -> None:
    report = report_of(error_at(0, 1))
    report.require_agreement("x.onnx")
    assert (report.inputs[0].relative_difference, report.inputs[0].outliers) == (0, 0)


def test_a_difference_of_rounding_everywhere_agrees() -> None:
    report_of(error_at(SIDE * SIDE, 0.05)).require_agreement("x.onnx")


def test_a_difference_above_rounding_everywhere_is_refused() -> None:
    with pytest.raises(ParityError, match=r"x\.onnx disagrees with torch on random input; got .* 100\.00% of them"):
        report_of(error_at(SIDE * SIDE, 0.5)).require_agreement("x.onnx")


def test_a_few_logits_that_a_tie_moved_agree_and_are_told() -> None:
    report = report_of(error_at(4, 5.0))  # 4 of 4096
    report.require_agreement("x.onnx")
    assert report.inputs[0].outliers == 4 / SIDE**2
    assert report.inputs[0].relative_difference > 0.01


def test_a_border_that_differs_is_refused() -> None:
    with pytest.raises(ParityError, match=r"1\.56% of them"):
        report_of(error_at(SIDE, 5.0)).require_agreement("x.onnx")


@pytest.mark.parametrize("pixels", [1, SIDE * SIDE])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_finite_number_never_agrees(value: float, pixels: int) -> None:
    with pytest.raises(ParityError, match="disagrees"):
        report_of(error_at(pixels, value)).require_agreement("x.onnx")
