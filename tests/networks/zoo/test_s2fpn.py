from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rtseg.datasets.registry import class_spec
from rtseg.errors import CheckpointError
from rtseg.networks import complexity
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_spec
from rtseg.networks.resolve import resolve_network
from rtseg.networks.zoo.s2fpn import S2FPN
from rtseg.networks.zoo.s2fpn_checkpoint import official_names
from rtseg.networks.zoo.s2fpn_modules import ScaleAwareStripAttention
from rtseg.specs import Resolution
from tests.networks.zoo.gpu_forms import (
    CHECKPOINTS,
    ROUNDING,
    as_if_trained,
    computed,
    cost_on_gpu,
    exported,
    fp16_error,
    pictures,
    relative_difference,
)
from tests.outside import outside

FACTS = outside("facts", "s2fpn")
KEYS = FACTS / "s2fpn_keys_v1_S2FPN18_19cls.txt"
"""Names and shapes of the official weights."""

VECTORS = FACTS / "ref_v1_S2FPN18.npz"
"""Logits of the official code."""

needs_facts = pytest.mark.data("facts/s2fpn")

TOLERANCE = 1e-3
"""Absolute, on logits of up to 53: float32 convolutions summed in another order. In float64 the logits are others by up
to 8e-4 than the official ones, and than ours."""

OFFICIAL_V0 = 17_979_890
"""Parameters of the official S2-FPN18 for 19 classes, before it got down2 to down5."""

DOWN = 12_535_680
"""Parameters of down2 to down5."""

MACS = {(18, True): 27.809e9, (34, True): 47.137e9, (34, False): 184.824e9}
"""Of the main output at 512x1024 by depth and maximum, as measured on the official code."""


def uncalled_parameters(classes: int = 19) -> int:
    """Return how many parameters the official v0 owns and never calls, module by module."""
    total = 2 * classes  # classifier.fc.bn
    for width in (256, 128, 64, 32):
        total += width  # sa.conv_sh.bias
        total += width * width + width  # sa.conv_res
        total += 2 * width  # sa.fuse.bn
        total += 2 * (width // 4) + 2 * width  # ca.conv_pool.0.bn and .2.bn
        total += 2 * classes  # classifier.2.bn
        total += 2 * width  # gfu.conv2.0.bn
    return total


def meta_network(*, depth: int = 18, max_pool: bool = True, classes: int = 19) -> S2FPN:
    with torch.device("meta"):
        return S2FPN(classes, depth=depth, max_pool=max_pool)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def official_shapes() -> dict[str, tuple[int, ...]]:
    rows = [line.split("\t") for line in KEYS.read_text().splitlines()]
    return {key: tuple(int(n) for n in shape.strip("()").split(",") if n.strip()) for key, shape, _ in rows}


def reference_tensor(key: str, shape: tuple[int, ...], statistics: Any) -> Tensor:
    """Return the reference weights of an official key: random numbers seeded by the key's name."""
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if f"stat/{key}" in statistics:
        value = statistics[f"stat/{key}"]
    elif key.endswith("num_batches_tracked"):
        value = np.zeros(shape)
    elif key.endswith("gamma"):
        value = np.full(shape, 0.5)
    elif len(shape) == 4:
        value = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif key.endswith("bias"):
        value = 0.1 * random.randn(*shape)
    else:
        value = 0.5 + random.rand(*shape)
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


@pytest.fixture(scope="module")
def reference_network() -> S2FPN:
    with np.load(VECTORS) as vectors:
        official = {key: reference_tensor(key, shape, vectors) for key, shape in official_shapes().items()}
    network = S2FPN(19)
    network.load_state_dict(official_keys(official))
    return network.eval()


def official_keys(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under our names."""
    names = official_names(list(official))
    return {ours: official[key] for key, ours in names.items() if ours is not None}


def version_1_key() -> dict[str, Tensor]:
    return {"apf1.sa.gamma": torch.zeros(1)}


@pytest.mark.parametrize("classes", [19, 11])
def test_the_parameters_are_the_official_ones_less_the_uncalled(classes: int) -> None:
    official = {19: OFFICIAL_V0, 11: 17_975_714}[classes]
    assert count(meta_network(classes=classes)) == official - uncalled_parameters(classes)


def test_training_uses_17_888_580_parameters_and_the_main_output_17_095_140() -> None:
    network = meta_network()
    assert (count(network), count(network) - count(network.heads)) == (17_888_580, 17_095_140)


@pytest.mark.parametrize("max_pool", [True, False])
def test_the_deeper_trunk_has_27_996_740_parameters_with_and_without_its_maximum(max_pool: bool) -> None:
    assert count(meta_network(depth=34, max_pool=max_pool)) == 27_996_740


@pytest.mark.parametrize(("depth", "max_pool"), MACS)
def test_the_multiply_accumulates_of_the_main_output_are_the_official_ones(depth: int, max_pool: bool) -> None:
    # The counter sees convolutions and matrix products, two operations for each multiply-accumulate;
    # normalisation, pooling, resizing and element-wise products are in neither number.
    network = meta_network(depth=depth, max_pool=max_pool).eval()
    images = torch.zeros(1, 3, 512, 1024, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    assert counter.get_total_flops() / 2 == pytest.approx(MACS[depth, max_pool], rel=1e-3)


@pytest.mark.parametrize(("height", "width"), [(512, 1024), (360, 480), (20, 36)])
def test_the_logits_are_a_quarter_of_any_size_that_4_divides(height: int, width: int) -> None:
    network = meta_network().eval()
    assert network(torch.zeros(2, 3, height, width, device="meta")).shape == (2, 19, height // 4, width // 4)


def test_without_the_maximum_the_logits_are_half_the_image() -> None:
    network = meta_network(depth=34, max_pool=False).eval()
    logits = network(torch.zeros(1, 3, 64, 96, device="meta"))
    assert (network.stride, tuple(logits.shape)) == (2, (1, 19, 32, 48))


def test_the_auxiliary_logits_come_coarsest_first_at_their_own_strides() -> None:
    logits = meta_network().training_logits(torch.zeros(2, 3, 360, 480, device="meta"))
    sizes = [tuple(x.shape[2:]) for x in logits]
    assert sizes == [(90, 120), (12, 15), (23, 30), (45, 60), (90, 120)]


def test_camvids_size_runs_and_training_and_plain_forward_agree() -> None:
    torch.manual_seed(0)
    network = S2FPN(11).eval()
    images = torch.randn(1, 3, 360, 480)
    with torch.inference_mode():
        assert torch.equal(network(images), network.training_logits(images)[0])


def test_gradients_flow_to_every_parameter() -> None:
    torch.manual_seed(0)
    network = S2FPN(11)
    for module in network.modules():
        if isinstance(module, ScaleAwareStripAttention):
            torch.nn.init.constant_(module.gamma, 0.5)  # at its initial 0 nothing reaches what it multiplies
    logits = network.training_logits(torch.randn(2, 3, 64, 96))
    sum((x**2).mean() for x in logits).backward()  # type: ignore[union-attr]
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_strip_attention_starts_as_a_rectifier() -> None:
    x = torch.randn(2, 32, 5, 7)
    assert torch.equal(ScaleAwareStripAttention(32)(x), F.relu(x))


def test_an_untrained_network_stays_in_the_range_of_half_precision() -> None:
    network = network_with_random_weights("s2fpn18", class_spec("cityscapes"))
    mean = torch.tensor(network.normalization.mean).view(1, 3, 1, 1)
    images = torch.randint(0, 256, (1, 3, 64, 128), generator=torch.Generator().manual_seed(1)).float()
    with torch.inference_mode():
        largest = max(float(x.abs().max()) for x in network.module.training_logits(images - mean))
    assert 0.01 < largest < torch.finfo(torch.float16).max / 2


@needs_facts
@pytest.mark.parametrize(("height", "width"), [(64, 128), (104, 136)])
def test_the_logits_equal_the_official_ones(reference_network: S2FPN, height: int, width: int) -> None:
    images = torch.from_numpy(np.random.RandomState(1234).randn(1, 3, height, width).astype(np.float32))
    with torch.inference_mode():
        ours = reference_network.training_logits(images)
    with np.load(VECTORS) as vectors:
        for name, logits in zip(("main", "sup1", "sup2", "sup3", "sup4"), ours):
            upsampled = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=True).numpy()
            step = 1 if name == "main" else 8
            expected = vectors[f"{height}x{width}/{name}"]
            np.testing.assert_allclose(upsampled[:, :, ::step, ::step], expected, rtol=0, atol=TOLERANCE, err_msg=name)


@needs_facts
def test_the_official_names_become_all_of_ours() -> None:
    official = {key: torch.empty(shape, device="meta") for key, shape in official_shapes().items()}
    ours = {key: value.shape for key, value in meta_network().state_dict().items()}
    assert {key: value.shape for key, value in official_keys(official).items()} == ours


@needs_facts
def test_the_deeper_official_names_become_all_of_ours() -> None:
    rows = (FACTS / "s2fpn_keys_v1_S2FPN34M_19cls.txt").read_text().splitlines()
    official = {row.split("\t")[0]: torch.empty(0) for row in rows}
    assert set(official_keys(official)) == set(meta_network(depth=34, max_pool=False).state_dict())


@needs_facts
def test_what_is_dropped_is_what_the_official_code_never_calls() -> None:
    shapes = official_shapes()
    dropped = [key for key in shapes if not official_keys({key: torch.empty(0)})]
    parameters = [key for key in dropped if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(int(np.prod(shapes[key])) for key in parameters) == uncalled_parameters() + DOWN


@needs_facts
def test_no_official_name_is_one_of_ours() -> None:
    # our_tensors asks for the key map only where the two sets of names are disjoint.
    assert set(official_shapes()).isdisjoint(meta_network().state_dict())


def test_names_that_no_official_checkpoint_has_stay_as_they_are() -> None:
    assert set(official_keys({"backbone.weight": torch.zeros(1)})) == {"backbone.weight"}


@pytest.mark.parametrize(
    "foreign",
    ["seghead.fc.conv.weight", "apf1.sa.tr.0.attn.gamma", "apf2.sa.dconv1.conv.weight", "fab.0.act.weight"],
)
def test_a_checkpoint_of_version_2_is_refused_by_name(foreign: str) -> None:
    with pytest.raises(CheckpointError, match="version 2") as raised:
        official_keys({**version_1_key(), foreign: torch.zeros(1)})
    assert foreign in str(raised.value)


def test_the_authors_mean_colours_are_subtracted_and_nothing_is_divided() -> None:
    spec = network_spec("s2fpn18")
    cityscapes, camvid = spec.normalization_for("cityscapes"), spec.normalization_for("camvid")
    assert cityscapes.mean == (73.45284, 83.212006, 72.78043)
    assert camvid.mean == (99.625404, 103.329834, 105.65775)
    assert {(n.colour_order, n.scale, n.std) for n in (cityscapes, camvid)} == {("RGB", 1.0, (1.0, 1.0, 1.0))}


# By name


@pytest.mark.parametrize(
    ("name", "stride", "deployed"),
    [("s2fpn18", 4, 17_095_140), ("s2fpn34", 4, 27_203_300), ("s2fpn34m", 2, 27_203_300)],
)
def test_the_registered_variants_have_the_official_parameters_and_strides(
    name: str, stride: int, deployed: int
) -> None:
    network = complexity.meta_network(network_spec(name), 19)
    assert (network.stride, complexity.count_parameters(network).deployed) == (stride, deployed)


@pytest.mark.parametrize(("name", "trace"), [("s2fpn18", "S2FPN18"), ("s2fpn34m", "S2FPN34M")])
@needs_facts
def test_every_convolution_has_the_output_shape_it_has_in_the_official_code(name: str, trace: str) -> None:
    rows = [row.split("\t") for row in (FACTS / f"s2fpn_trace_v1_{trace}_512x1024.txt").read_text().splitlines()]
    official = {f"{row[0]}.weight": row[2].rsplit("-> ")[1] for row in rows if row[1] == "Conv2d"}
    names = official_names(list(official))
    expected = {ours.removesuffix(".weight"): official[key] for key, ours in names.items() if ours is not None}

    network = complexity.meta_network(network_spec(name), 19)
    seen: dict[str, str] = {}
    for path, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _, __, out, path=path: seen.update({path: str(tuple(out.shape))}))
    network.training_logits(torch.zeros(1, 3, 512, 1024, device="meta"))
    assert len(expected) > 60
    # the strip attention's shared convolution is called on strips, and in the official code as a function
    assert {path: shape for path, shape in seen.items() if not path.endswith(".shared")} == expected


@pytest.mark.parametrize("name", ["s2fpn18", "s2fpn34", "s2fpn34m"])
def test_imagenet_weights_of_the_same_depth_fill_the_trunk(name: str) -> None:
    network = network_spec(name).build(2)
    state = {key: torch.full_like(value, 0.5) for key, value in network.trunk.state_dict().items()}
    network.load_backbone({**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)})
    assert all(bool((value == 0.5).all()) for key, value in network.trunk.state_dict().items() if "num_" not in key)


def test_imagenet_weights_of_another_depth_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not the ImageNet weights of resnet34"):
        network_spec("s2fpn34").build(2).load_backbone(network_spec("s2fpn18").build(2).trunk.state_dict())


@pytest.mark.parametrize(("depth", "max_pool"), [(18, True), (34, False)])
@pytest.mark.parametrize("size", [(64, 96), (72, 104)])
def test_the_form_for_a_gpu_has_the_same_logits(depth: int, max_pool: bool, size: tuple[int, int]) -> None:
    network = as_if_trained(S2FPN(11, depth=depth, max_pool=max_pool))
    assert isinstance(network, S2FPN)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        form = network.for_gpu(Resolution(*size))
        assert relative_difference(form(images), network(images)) <= ROUNDING


@pytest.mark.slow
def test_the_trained_form_for_a_gpu_agrees_as_onnx_and_errs_hardly_more_in_fp16() -> None:
    network, resolution = (
        resolve_network(None, None, checkpoint=CHECKPOINTS / "s2fpn18-camvid.safetensors"),
        Resolution(96, 160),
    )
    plain = exported(network, network.module, resolution)
    form = exported(network, network.module.for_gpu(resolution), resolution)
    for picture in pictures(resolution, 70.0):  # which is not divided by a deviation
        expected = computed(plain, picture)
        assert np.abs(computed(form, picture) - expected).max() <= ROUNDING * np.abs(expected).max()
        assert fp16_error(form, picture, expected) <= 1.2 * fp16_error(plain, picture, expected)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [(8, 6), (8, 9), (12, 0)])
def test_at_full_size_the_form_for_a_gpu_is_120_kernels_and_1200_mb(capability: tuple[int, int]) -> None:
    network, resolution = network_with_random_weights("s2fpn18", class_spec("cityscapes")), Resolution(1024, 2048)
    cost = cost_on_gpu(network, network.module.for_gpu(resolution), resolution, capability)
    assert cost.kernels <= 120
    assert cost.bytes <= 1200e6
