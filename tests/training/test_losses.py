from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor

from rtseg.errors import UnknownNameError
from rtseg.networks.registry import network_names, network_spec
from rtseg.training.class_shares import focal_exponents, inverse_log_weights
from rtseg.training.losses import LOSSES, HardExampleCrossEntropy, SegmentationLoss, build_loss

VOID = 255

SHARES = np.array([200.0, 1.0]) / 201
"""Class 0 is 200 times as frequent as class 1: gamma 2 and 0."""

QUARTER = torch.tensor([0.0, log(3)])
"""Logits of two classes with the probabilities 1/4 and 3/4."""

CLOSE = 1e-6
"""Relative, for a handful of float32 operations."""


def loss_of(name: str, shares: np.ndarray = SHARES, *, align_corners: bool = False) -> SegmentationLoss:
    return build_loss(name, shares, ignore_index=VOID, align_corners=align_corners)


def pixels(*logits: Tensor) -> Tensor:
    """Return those logits side by side in one row: (1, classes, 1, pixels)."""
    return torch.stack(logits, -1)[None, :, None, :]


def labels(*values: int) -> Tensor:
    return torch.tensor(values).view(1, 1, -1)


def with_probability(p: float) -> Tensor:
    """Return logits of two classes, the first of which has that probability."""
    return torch.tensor([log(p / (1 - p)), 0.0], dtype=torch.float64)


# By hand


def test_plain_cross_entropy_is_the_mean_of_minus_ln_p() -> None:
    value = loss_of("ce")((pixels(QUARTER, QUARTER),), labels(0, 1))
    assert float(value) == pytest.approx((log(4) + log(4 / 3)) / 2, rel=CLOSE)


def test_plain_cross_entropy_adds_up_the_outputs() -> None:
    even = pixels(torch.zeros(2))
    value = loss_of("ce")((pixels(QUARTER), even), labels(0))
    assert float(value) == pytest.approx(log(4) + log(2), rel=CLOSE)


def test_weighted_cross_entropy_is_weighted_by_the_classes_of_the_truth() -> None:
    # As PyTorch defines it: the weighted sum over the sum of the weights.
    frequent, rare = 1 / log(1.10 + 200 / 201), 1 / log(1.10 + 1 / 201)
    value = loss_of("weighted-ce")((pixels(QUARTER, QUARTER),), labels(0, 1))
    assert float(value) == pytest.approx((frequent * log(4) + rare * log(4 / 3)) / (frequent + rare), rel=CLOSE)


def test_weighted_cross_entropy_counts_every_auxiliary_output_like_the_main_one() -> None:
    even = pixels(torch.zeros(2))
    value = loss_of("weighted-ce")((pixels(QUARTER), even, even), labels(0))
    assert float(value) == pytest.approx(log(4) + 2 * log(2), rel=CLOSE)


def test_owfl_damps_a_frequent_class_by_its_confidence() -> None:
    # gamma 2: alpha (3/4)^2 ln 4 + ln 4 / 2
    alpha = log(1.02 + 1 / 201) / log(1.02 + 200 / 201)
    value = loss_of("owfl+ce")((pixels(QUARTER),), labels(0))
    assert float(value) == pytest.approx((alpha * 0.75**2 + 0.5) * log(4), rel=CLOSE)


def test_owfl_is_plain_weighted_cross_entropy_for_the_rarest_class() -> None:
    # gamma 0 and alpha 1: 1.5 ln (4/3)
    value = loss_of("owfl+ce")((pixels(QUARTER),), labels(1))
    assert float(value) == pytest.approx(1.5 * log(4 / 3), rel=CLOSE)


def test_owfl_is_the_mean_over_the_labelled_pixels() -> None:
    loss = loss_of("owfl+ce")
    one, other = (float(loss((pixels(QUARTER),), labels(truth))) for truth in (0, 1))
    both = loss((pixels(QUARTER, QUARTER, QUARTER),), labels(0, VOID, 1))
    assert float(both) == pytest.approx((one + other) / 2, rel=CLOSE)


def test_owfl_looks_at_the_main_output_only() -> None:
    loss = loss_of("owfl+ce")
    alone = loss((pixels(QUARTER),), labels(0))
    assert torch.equal(loss((pixels(QUARTER), pixels(torch.zeros(2))), labels(0)), alone)


def test_the_class_weights_at_1_02_are_one_over_ln_of_1_02_and_the_share() -> None:
    frequent, rare = 1 / log(1.02 + 200 / 201), 1 / log(1.02 + 1 / 201)
    value = loss_of("weighted-ce-1.02")((pixels(QUARTER, QUARTER),), labels(0, 1))
    assert float(value) == pytest.approx((frequent * log(4) + rare * log(4 / 3)) / (frequent + rare), rel=CLOSE)


@pytest.mark.parametrize("name", ["ce+auxiliary", "ohem"])
def test_an_auxiliary_output_counts_two_fifths_of_the_main_one(name: str) -> None:
    even = pixels(torch.zeros(2))
    value = loss_of(name)((pixels(QUARTER), even, even), labels(0))
    assert float(value) == pytest.approx(log(4) + 0.4 * 2 * log(2), rel=CLOSE)


def test_dice_compares_probabilities_with_areas_class_by_class() -> None:
    # p of class 0: 1/4, 1/4. Overlap 1/4 of areas 1/2 + 1, and 3/4 of areas 3/2 + 1: dice 1/3 and 3/5.
    value = loss_of("ce+dice")((pixels(QUARTER, QUARTER),), labels(0, 1))
    cross_entropy = (log(4) + log(4 / 3)) / 2
    assert float(value) == pytest.approx(cross_entropy + 1 - (1 / 3 + 3 / 5) / 2, rel=1e-5)  # the smoothing is 1e-5


def test_dice_is_smoothed_by_1e_5() -> None:
    # One pixel of class 0 with p = 1/4: (1/2 + s) / (5/4 + s), and for the class that is nowhere s / (3/4 + s).
    s = 1e-5
    dice = ((1 / 2 + s) / (5 / 4 + s) + s / (3 / 4 + s)) / 2
    value = loss_of("ce+dice")((pixels(with_probability(0.25)),), labels(0))
    assert float(value) == pytest.approx(log(4) + 1 - dice, rel=1e-12)


def test_dice_is_taken_over_the_whole_batch_at_once() -> None:
    batch = torch.cat([pixels(QUARTER), pixels(QUARTER)])
    truth = torch.cat([labels(0), labels(1)])
    one_row = loss_of("ce+dice")((pixels(QUARTER, QUARTER),), labels(0, 1))
    assert float(loss_of("ce+dice")((batch,), truth)) == pytest.approx(float(one_row), rel=CLOSE)


def test_cross_entropy_with_dice_looks_at_the_main_output_only() -> None:
    alone = loss_of("ce+dice")((pixels(QUARTER),), labels(0))
    assert torch.equal(loss_of("ce+dice")((pixels(QUARTER), pixels(torch.zeros(2))), labels(0)), alone)


def test_hard_examples_are_the_pixels_below_a_probability_of_seven_tenths() -> None:
    row = pixels(*(with_probability(p) for p in (0.9, 0.69, 0.71, 0.2)))
    value = loss_of("ohem")((row,), labels(0, 0, 0, 0))
    assert float(value) == pytest.approx(-(log(0.69) + log(0.2)) / 2, rel=1e-12)


def test_at_least_a_sixteenth_of_the_labelled_pixels_is_hard() -> None:
    # 33 labelled pixels, none below 0.7: the three least likely, as a sixteenth is more than two.
    likely = [0.99] * 29 + [0.8, 0.85, 0.9, 0.95]
    row = pixels(*(with_probability(p) for p in likely), with_probability(0.01))
    value = loss_of("ohem")((row,), labels(*[0] * 33, VOID))
    assert float(value) == pytest.approx(-(log(0.8) + log(0.85) + log(0.9)) / 3, rel=1e-12)


def test_each_output_has_hard_examples_of_its_own() -> None:
    main = pixels(with_probability(0.9), with_probability(0.5))
    auxiliary = pixels(with_probability(0.4), with_probability(0.8))
    value = loss_of("ohem")((main, auxiliary), labels(0, 0))
    assert float(value) == pytest.approx(-log(0.5) - 0.4 * log(0.4), rel=1e-12)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_logits_are_upsampled_to_the_labels_by_the_networks_rule(name: str, align_corners: bool) -> None:
    # Two logits 0 and 2 become five: corners aligned 0, .5, 1, 1.5, 2; else 0, .2, 1, 1.8, 2 (0.4 i - 0.3, clamped).
    ramp = [0, 0.5, 1, 1.5, 2] if align_corners else [0, 0.2, 1, 1.8, 2]
    low = torch.stack([torch.tensor([0.0, 2.0]), torch.zeros(2)])[None, :, None, :]
    full = torch.stack([torch.tensor(ramp), torch.zeros(5)])[None, :, None, :]
    truth = labels(0, 1, 0, 1, 0)
    loss = loss_of(name, align_corners=align_corners)
    torch.testing.assert_close(loss((low,), truth), loss((full,), truth), rtol=1e-5, atol=0)


# Void


@pytest.mark.parametrize("name", LOSSES)
def test_the_logits_of_void_pixels_do_not_count(name: str) -> None:
    loss = loss_of(name)
    values = [loss((pixels(QUARTER, other),), labels(0, VOID)) for other in (torch.zeros(2), torch.tensor([9.0, -9.0]))]
    assert torch.equal(values[0], values[1])
    assert float(values[0]) == pytest.approx(float(loss((pixels(QUARTER),), labels(0))), rel=CLOSE)


@pytest.mark.parametrize("name", LOSSES)
def test_void_pixels_get_no_gradient(name: str) -> None:
    logits = pixels(QUARTER, QUARTER).requires_grad_()
    loss_of(name)((logits,), labels(1, VOID)).backward()
    assert logits.grad is not None
    assert logits.grad[..., 0].any()
    assert not logits.grad[..., 1].any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_is_all_void_costs_nothing_and_changes_nothing(name: str) -> None:
    logits = pixels(QUARTER).requires_grad_()
    value = loss_of(name)((logits,), labels(VOID))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_is_all_void_costs_nothing_in_auxiliary_outputs_either(name: str) -> None:
    outputs = [pixels(QUARTER).requires_grad_() for _ in range(3)]
    value = loss_of(name)(tuple(outputs), labels(VOID))
    value.backward()
    assert float(value.detach()) == 0
    assert not any(output.grad is not None and output.grad.any() for output in outputs)


# Gradients


def gradient(name: str, outputs: tuple[Tensor, ...], truth: Tensor) -> list[list[list[float]]]:
    """Return the gradient of each output's row: for each class, a number per pixel."""
    leaves = [output.double().clone().requires_grad_() for output in outputs]
    loss_of(name).double()(tuple(leaves), truth).backward()
    return [[] if leaf.grad is None else leaf.grad[0, :, 0].tolist() for leaf in leaves]


def test_the_gradient_of_weighted_cross_entropy_at_1_02_is_p_minus_truth_times_its_weight() -> None:
    frequent, rare = 1 / log(1.02 + 200 / 201), 1 / log(1.02 + 1 / 201)
    shares = [weight / (frequent + rare) for weight in (frequent, rare)]
    (main,) = gradient("weighted-ce-1.02", (pixels(QUARTER, QUARTER),), labels(0, 1))
    assert main[0] == pytest.approx([-0.75 * shares[0], 0.25 * shares[1]], rel=CLOSE)
    assert main[1] == pytest.approx([0.75 * shares[0], -0.25 * shares[1]], rel=CLOSE)


def test_the_gradient_in_an_auxiliary_output_is_two_fifths_of_p_minus_truth() -> None:
    main, auxiliary = gradient("ce+auxiliary", (pixels(QUARTER), pixels(QUARTER)), labels(0))
    assert main == [pytest.approx([-0.75]), pytest.approx([0.75])]
    assert auxiliary == [pytest.approx([-0.3]), pytest.approx([0.3])]


def test_the_gradient_of_cross_entropy_with_dice() -> None:
    # One pixel of class 0 with p = 1/4. Cross-entropy: p - 1. Dice of class 0, 2 p / (p + 1), has the slope
    # 2 / (p + 1)^2; that of class 1, s / (1 - p + s), the slope s / (1 - p)^2. Their mean times dp/dx0 = p (1 - p).
    slope = (2 / 1.25**2 + 1e-5 / 0.75**2) / 2 * 0.25 * 0.75
    ((first, second),) = gradient("ce+dice", (pixels(QUARTER),), labels(0))
    assert first == pytest.approx([-0.75 - slope], rel=1e-5)  # the smoothing of class 0 is left out
    assert second == pytest.approx([0.75 + slope], rel=1e-5)


def test_only_hard_examples_have_a_gradient() -> None:
    row = pixels(*(with_probability(p) for p in (0.9, 0.6, 0.2)))
    main, auxiliary = gradient("ohem", (row, row), labels(0, 0, 0))
    assert main[0] == pytest.approx([0, -0.4 / 2, -0.8 / 2])
    assert main[1] == pytest.approx([0, 0.4 / 2, 0.8 / 2])
    assert auxiliary[0] == pytest.approx([0, -0.4 * 0.4 / 2, -0.4 * 0.8 / 2])


def test_where_no_pixel_is_hard_the_least_likely_one_has_the_gradient() -> None:
    (main,) = gradient("ohem", (pixels(*(with_probability(p) for p in (0.9, 0.8, 0.95))),), labels(0, 0, 0))
    assert main[0] == pytest.approx([0, -0.2, 0])


def require_no_kink_near(loss: SegmentationLoss, outputs: tuple[Tensor, ...], truth: Tensor) -> None:
    """Finite differences are taken 1e-6 to both sides: no pixel may turn from hard to easy between."""
    for output in outputs:
        p = loss.upsampled(output, truth).softmax(1)
        assert ((p - HardExampleCrossEntropy.HARD_BELOW).abs() > 1e-4).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_gradients_are_those_of_finite_differences(name: str, align_corners: bool) -> None:
    torch.manual_seed(0)
    shares = np.array([300.0, 30.0, 1.0]) / 331  # gamma 2, 1 and 0
    loss = build_loss(name, shares, ignore_index=VOID, align_corners=align_corners).double()
    main = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    auxiliary = torch.randn(2, 3, 1, 2, dtype=torch.float64, requires_grad=True)
    truth = torch.randint(0, 3, (2, 4, 6))
    truth[0, 0, :2] = VOID
    require_no_kink_near(loss, (main, auxiliary), truth)
    assert torch.autograd.gradcheck(lambda *outputs: loss(outputs, truth), (main, auxiliary))


@pytest.mark.parametrize("truth", [0, 1])
@pytest.mark.parametrize("name", LOSSES)
def test_a_pixel_that_is_quite_sure_has_a_finite_gradient(name: str, truth: int) -> None:
    # p is exactly 1 in float32, or underflows to 0.
    logits = pixels(torch.tensor([200.0, 0.0])).requires_grad_()
    value = loss_of(name)((logits,), labels(truth))
    value.backward()
    assert logits.grad is not None
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_all_losses_fall_when_the_truth_becomes_likelier() -> None:
    for name in LOSSES:
        values = [float(loss_of(name)((pixels(torch.tensor([x, 0.0])),), labels(0))) for x in (-2.0, 0.0, 2.0)]
        assert values[0] > values[1] > values[2] > 0, name


# The papers' tables

CITYSCAPES = {
    "road": (0.369698, 2, 0.0630),
    "sidewalk": (0.059831, 1, 0.2701),
    "building": (0.227007, 2, 0.0940),
    "wall": (0.006659, 0, 0.7884),
    "fence": (0.008684, 0, 0.7334),
    "pole": (0.012632, 1, 0.6460),
    "traffic light": (0.002064, 0, 0.9504),
    "traffic sign": (0.005676, 0, 0.8182),
    "vegetation": (0.161360, 2, 0.1245),
    "terrain": (0.011104, 1, 0.6772),
    "sky": (0.039340, 1, 0.3598),
    "person": (0.012300, 1, 0.6525),
    "rider": (0.001465, 0, 0.9767),
    "car": (0.069216, 1, 0.2427),
    "truck": (0.002721, 0, 0.9232),
    "bus": (0.002570, 0, 0.9294),
    "train": (0.002157, 0, 0.9465),
    "motorcycle": (0.000959, 0, 1.0000),
    "bicycle": (0.004557, 0, 0.8550),
}
"""Share of the labelled pixels, gamma and alpha of each class of Cityscapes' training set."""

CAMVID = {
    "sky": (0.17538, 1),
    "building": (0.24215, 1),
    "pole": (0.01023, 0),
    "road": (0.32960, 2),
    "pavement": (0.04671, 1),
    "tree": (0.10124, 1),
    "sign": (0.01221, 0),
    "fence": (0.01173, 0),
    "car": (0.06107, 1),
    "pedestrian": (0.00666, 0),
    "bicyclist": (0.00304, 0),
}

PUBLISHED_WEIGHTS = {"road": 2.5959933, "sidewalk": 6.7415504, "building": 3.5354059, "motorcycle": 10.396974}
"""1 / ln(1.10 + share) on Cityscapes, as CGNet's and S2-FPN's published training code lists them."""


def cityscapes_shares() -> np.ndarray:
    return np.array([row[0] for row in CITYSCAPES.values()])


def test_cityscapes_falls_into_the_papers_groups_of_three_six_and_ten() -> None:
    gamma = dict(zip(CITYSCAPES, focal_exponents(cityscapes_shares())))
    groups = [{name for name, value in gamma.items() if value == wanted} for wanted in (2, 1, 0)]
    assert [len(group) for group in groups] == [3, 6, 10]
    assert groups[0] == {"road", "building", "vegetation"}
    assert groups[1] == {"sidewalk", "pole", "terrain", "sky", "person", "car"}


def test_camvid_falls_into_its_groups() -> None:
    gamma = focal_exponents(np.array([share for share, _ in CAMVID.values()]))
    assert list(gamma) == [wanted for _, wanted in CAMVID.values()]


def test_owfl_has_the_gamma_and_alpha_of_cityscapes() -> None:
    loss = loss_of("owfl+ce", cityscapes_shares())
    buffers = dict(loss.named_buffers())
    assert buffers["gamma"].tolist() == [row[1] for row in CITYSCAPES.values()]
    assert buffers["alpha"].tolist() == pytest.approx([row[2] for row in CITYSCAPES.values()], abs=1e-4)


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_the_weights_of_cityscapes_are_those_published(name: str) -> None:
    weights = dict(zip(CITYSCAPES, inverse_log_weights(cityscapes_shares(), 1.10)))
    assert weights[name] == pytest.approx(PUBLISHED_WEIGHTS[name], rel=1e-3)


# By name


def test_every_network_names_a_loss_there_is() -> None:
    assert {network_spec(name).loss for name in network_names()} <= set(LOSSES)


def test_an_unknown_loss_is_refused_with_the_closest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown loss; got 'owfl'.*Try: use 'owfl.ce'"):
        loss_of("owfl")


def test_probabilities_of_the_fixture_are_a_quarter_and_three() -> None:
    total = sum(exp(float(logit)) for logit in QUARTER)
    assert [exp(float(logit)) / total for logit in QUARTER] == pytest.approx([0.25, 0.75])
