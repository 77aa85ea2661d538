from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rtseg.errors import ParityError, RunnerError
from rtseg.exporting.parity import FP32_RUNS, parity_of
from rtseg.exporting.parity_report import ParityReport
from rtseg.frame.protocol import Array, TensorSpec
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
        return parity_of(reference, candidate, IMAGE, OUTPUT, [])


def error_at(pixels: int, size: float, first: int = 0) -> Tensor:
    """Return an error of both logits at that many pixels, from the first on."""
    error = torch.zeros(1, 2, SIDE * SIDE)
    error[:, :, first : first + pixels] = size
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


# What FP64 decides


class Runs:
    """A network in FP64, which is off nowhere, and in FP32 with other roundings, which are off as told."""

    def __init__(self, *errors: Tensor) -> None:
        self.errors = errors
        self.asked = 0

    def infer_fp64(self, array: Array) -> Array:
        self.asked += 1
        return Ramp(error_at(0, 0)).double()(torch.from_numpy(array).double()).numpy()  # type: ignore[no-any-return]

    def infer_moved(self, array: Array, seed: int) -> Array:
        self.asked += 1
        error = self.errors[(seed - 1) % len(self.errors)]
        return Ramp(error)(torch.from_numpy(array)).numpy()  # type: ignore[no-any-return]


def report_with_fp64(reference: Tensor, candidate: Tensor, fp64: Runs) -> ParityReport:
    with TorchRunner(Ramp(reference), SOURCE) as first, TorchRunner(Ramp(candidate), SOURCE) as second:
        return parity_of(first, second, IMAGE, OUTPUT, [], fp64=fp64)


def test_fp64_is_not_asked_about_an_input_within_the_floors() -> None:
    fp64 = Runs(error_at(0, 0))
    report = report_with_fp64(error_at(0, 0), error_at(4, 5.0), fp64)
    assert (report.inputs[0].passed, report.inputs[0].fp64, fp64.asked) == ("floors", None, 0)


def test_an_output_twice_as_far_from_fp64_as_fp32_is_agrees_and_both_distances_are_told() -> None:
    fp64 = Runs(error_at(0, 0))
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(2 * SIDE, 5.0, SIDE), fp64)
    report.require_agreement("x.onnx")
    told, large = json.loads(json.dumps(report.to_json()))["inputs"]
    assert large["input"] == "large input of both signs"
    assert told["passed"] == "fp64"
    assert told["outliers"] == 3 / SIDE
    assert (told["fp64"]["reference"]["outliers"], told["fp64"]["candidate"]["outliers"]) == (1 / SIDE, 2 / SIDE)
    assert told["fp64"]["runs"] == 1 and fp64.asked == 2


def test_an_output_further_from_fp64_than_twice_fp32_is_refused_after_every_run() -> None:
    fp64 = Runs(error_at(SIDE, 5.0))
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(2 * SIDE + 1, 5.0, SIDE), fp64)
    told = r"from FP64 3\.149% of the logits above .* at most 2 times what torch has in FP32: 1\.562% of the logits"
    with pytest.raises(ParityError, match=told):
        report.require_agreement("x.onnx")
    assert report.inputs[0].passed == ""
    assert fp64.asked == 2 * FP32_RUNS, "on either input"


def test_an_output_so_far_from_fp64_that_no_run_could_excuse_it_is_refused_after_the_first() -> None:
    fp64 = Runs(error_at(0, 0))
    report = report_with_fp64(error_at(4, 5.0), error_at(SIDE * SIDE, 5.0), fp64)
    with pytest.raises(ParityError, match=r"from FP64 100\.000% of the logits"):
        report.require_agreement("x.onnx")
    assert fp64.asked == 2, "once on either input"


def test_further_runs_in_fp32_count_together_until_they_suffice() -> None:
    fp64 = Runs(error_at(SIDE, 5.0, SIDE), error_at(SIDE, 5.0, 2 * SIDE), error_at(SIDE, 5.0, 3 * SIDE))
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(6 * SIDE, 5.0, 8 * SIDE), fp64)
    report.require_agreement("x.onnx")
    fp64_parity = report.inputs[0].fp64
    assert fp64_parity is not None
    assert (fp64_parity.runs, fp64_parity.fp32.outliers, fp64_parity.reference.outliers) == (3, 3 / SIDE, 1 / SIDE)


def test_as_many_logits_that_are_off_by_far_more_are_refused() -> None:
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(SIDE, 50.0), Runs(error_at(SIDE, 5.0)))
    with pytest.raises(ParityError, match="disagrees"):
        report.require_agreement("x.onnx")


def test_an_output_at_rounding_level_from_fp64_agrees_however_close_fp32_is() -> None:
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(SIDE * SIDE, 0.05), Runs(error_at(0, 0)))
    report.require_agreement("x.onnx")
    assert report.inputs[0].passed == "fp64"


def test_labels_alone_are_held_against_those_of_fp64() -> None:
    output = OutputSpec(CLASSES, "labels", 1, False)
    source = TensorSpec("image", (1, SIDE, SIDE, 3), "uint8")
    modules = [LabelsOff(pixels) for pixels in (40, 80, 81)]
    with TorchRunner(modules[0], source) as reference:
        for module, passed in zip(modules[1:], ("fp64", "")):
            with TorchRunner(module, source) as candidate:
                entry, extreme = parity_of(reference, candidate, IMAGE, output, [], fp64=reference).inputs
            assert extreme.input == "black and white pixels"
            assert (entry.input, entry.passed) == ("random pixels", passed)
            assert entry.fp64 is not None and entry.fp64.reference.label_disagreement == 40 / SIDE**2


class LabelsOff(nn.Module):
    """Labels of two classes, of which so many are the other one in FP32."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.register_buffer("off", torch.arange(SIDE * SIDE).view(1, SIDE, SIDE) < pixels)
        self.register_buffer("tiny", torch.tensor(1e-12))

    def forward(self, image: Tensor) -> Tensor:
        lost = (self.tiny + 1 == 1) & self.off
        return (image[..., 0] // 128) ^ lost.to(torch.uint8)  # type: ignore[no-any-return]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fp64_is_not_asked_about_a_value_that_is_no_finite_number(value: float) -> None:
    fp64 = Runs(error_at(0, 0))
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(1, value), fp64)
    with pytest.raises(ParityError, match="disagrees"):
        report.require_agreement("x.onnx")
    assert fp64.asked == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_in_fp32_with_values_that_are_no_finite_numbers_excuses_nothing(value: float) -> None:
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(3 * SIDE, 5.0), Runs(error_at(1, value)))
    with pytest.raises(ParityError, match="disagrees"):
        report.require_agreement("x.onnx")


def test_fp64_that_is_no_finite_number_lets_nothing_pass() -> None:
    class Overflowing(Runs):
        def infer_fp64(self, array: Array) -> Array:
            return np.full_like(super().infer_fp64(array), np.nan)

    report = report_with_fp64(error_at(SIDE, 5.0), error_at(SIDE, 5.1), Overflowing(error_at(0, 0)))
    assert report.inputs[0].passed == "floors"
    report = report_with_fp64(error_at(SIDE, 5.0), error_at(SIDE, 5.0, SIDE), Overflowing(error_at(0, 0)))
    assert report.inputs[0].passed == ""


def test_a_network_that_cannot_run_in_fp64_is_refused_with_the_reason() -> None:
    class Without(Runs):
        def infer_fp64(self, array: Array) -> Array:
            raise RunnerError("PyTorch cannot run this network in FP64: no")

    report = report_with_fp64(error_at(0, 0), error_at(SIDE, 5.0), Without(error_at(0, 0)))
    with pytest.raises(
        ParityError,
        match="FP64 cannot decide whether rounding explains it: PyTorch cannot run this network",
    ):
        report.require_agreement("x.onnx")


# The runs themselves

SMALL = TensorSpec("image", (1, 2, 3, 3), "float32")


def test_a_run_in_fp64_is_the_modules_and_leaves_the_module_as_it_was() -> None:
    module = nn.Conv2d(2, 2, 3).eval()
    before = [parameter.clone() for parameter in module.parameters()]
    image = np.random.default_rng(0).standard_normal(SMALL.shape, np.float32)
    with TorchRunner(module, SMALL) as runner:
        got, single = runner.infer_fp64(image), runner.infer(image)
    assert (got.dtype, single.dtype) == (np.float64, np.float32)
    weight, bias = (value.detach().double().numpy() for value in before)
    np.testing.assert_allclose(got[0, :, 0, 0], (weight * image[0]).sum((1, 2, 3)) + bias, rtol=1e-13)
    assert all(torch.equal(*pair) for pair in zip(before, module.parameters()))


class Single(nn.Module):
    """A convolution that insists on FP32 before it or behind it."""

    def __init__(self, before: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.before = before

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image.float()) if self.before else self.conv(image).float()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("before", "told"),
    [(True, "cannot run this network in FP64: "), (False, "does not stay in FP64; got float32; expected float64")],
)
def test_a_module_that_insists_on_fp32_has_no_run_in_fp64(before: bool, told: str) -> None:
    with TorchRunner(Single(before), SMALL) as runner, pytest.raises(RunnerError, match=told):
        runner.infer_fp64(np.zeros(SMALL.shape, np.float32))


class Weights(nn.Module):
    """Gives its weights, whatever comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -3.0, 0.0, 1e-3, 7.0, -1e5, 2.0, 0.5]))

    def forward(self, image: Tensor) -> Tensor:
        return self.weight + 0 * image.sum()


def test_a_moved_run_has_each_weight_at_a_neighbouring_number_and_zeros_where_they_were() -> None:
    module = Weights()
    weight = module.weight.detach().clone().numpy()
    image = np.zeros(SMALL.shape, np.float32)
    with TorchRunner(module, SMALL) as runner:
        moved = [runner.infer_moved(image, seed) for seed in (1, 2, 1)]
        assert np.array_equal(runner.infer(image), weight)
    neighbours = [np.nextafter(weight, np.float32(end)) for end in (-np.inf, np.inf)]
    for values in moved:
        assert (((values == neighbours[0]) | (values == neighbours[1])) == (weight != 0)).all()
        assert values[2] == 0
    assert np.array_equal(moved[0], moved[2]) and not np.array_equal(moved[0], moved[1])


# Both signs, large magnitude, and arrays of one's own


class Computed(nn.Module):
    """One channel beside a constant, computed by a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, image: Tensor) -> Tensor:
        first = self.function(image)[:, :1]
        return torch.cat([first, torch.zeros_like(first)], 1)


def report_on(
    reference: Callable[[Tensor], Tensor], candidate: Callable[[Tensor], Tensor], *, fp64: bool = False
) -> ParityReport:
    with TorchRunner(Computed(reference), SOURCE) as first, TorchRunner(Computed(candidate), SOURCE) as second:
        return parity_of(first, second, IMAGE, OUTPUT, [], fp64=first if fp64 else None)


def in_place(image: Tensor) -> Tensor:
    return image.mul_(2)


@pytest.mark.parametrize("fp64", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda image: image.clamp(-20, 20),
        lambda image: torch.where(image < -30, -image, image),
        lambda image: torch.log1p(torch.exp(image)) + image,
    ],
    ids=["clips", "forgets a sign", "overflows"],
)
def test_what_differs_on_large_values_alone_is_refused(wrong: Callable[[Tensor], Tensor], fp64: bool) -> None:
    right = torch.nn.functional.softplus if wrong(torch.tensor(100.0)).isinf() else torch.clone
    report = report_on(lambda image: right(image) + (image if right is not torch.clone else 0), wrong, fp64=fp64)
    assert [entry.passed for entry in report.inputs] == ["floors", ""]
    with pytest.raises(ParityError, match="disagrees with torch on large input of both signs"):
        report.require_agreement("x.onnx")


@pytest.mark.parametrize("fp64", [False, True])
def test_what_overflows_on_both_sides_is_no_difference(fp64: bool) -> None:
    report = report_on(torch.exp, lambda image: torch.exp(image / 2) ** 2, fp64=fp64)
    report.require_agreement("x.onnx")


def test_neither_side_sees_what_the_other_wrote_into_its_input() -> None:
    report = report_on(in_place, lambda image: image * 2, fp64=True)
    assert [entry.relative_difference for entry in report.inputs] == [0, 0]
    twice_too_large = report_on(in_place, lambda image: image * 4)
    assert [entry.passed for entry in twice_too_large.inputs] == ["", ""]


def chaotic(image: Tensor) -> Tensor:
    """Choose by the last digits of large values."""
    return image + torch.where(image.abs() > 10, torch.sin(image * 1e6), 0.0) * 100


def test_without_fp64_the_references_own_answer_to_neighbouring_inputs_bounds_the_difference() -> None:
    report = report_on(chaotic, lambda image: chaotic(torch.nextafter(image, image + 1)))
    assert [entry.passed for entry in report.inputs] == ["floors", "neighbours"]
    assert json.loads(json.dumps(report.to_json()))["inputs"][1]["neighbours"]["reference"]["outliers"] > 0.1
    report = report_on(chaotic, lambda image: chaotic(image) + image.abs() * 2)
    assert report.inputs[1].passed == ""
