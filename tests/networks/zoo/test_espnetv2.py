from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.zoo.espnet_checkpoint import official_names_v2
from rtseg.networks.zoo.espnetv2 import ESPNETV2, ESPNetv2
from rtseg.networks.zoo.espnetv2_modules import EESP, NARROW, DepthwisePyramidPooling
from rtseg.specs import Resolution
from tests.networks.zoo.reference_weights import reference_tensor, shapes_in

DATA = Path(__file__).parents[2] / "data"
KEYS = DATA / "espnetv2_s0.5_keys.tsv"
"""Names and shapes of the official Cityscapes weights of scale 0.5."""

LOGITS = DATA / "espnetv2_logits.npz"
"""Of the official code at scale 0.5 with the weights of reference_tensor, at the image's size, every 8th pixel."""

OFFICIAL = {"2.0": 1_253_038, "1.5": 725_166, "1.0": 340_782, "0.5": 99_418}
"""Parameters of the official code for 20 classes."""

UNCALLED = {"2.0": 480, "1.5": 352, "1.0": 224, "0.5": 112}
"""Slopes of the activations that its three strided units own and never call."""

TOLERANCE = 1e-4
"""Of the largest logit: float32 convolutions summed in another order."""


@pytest.fixture(scope="module")
def reference_network() -> ESPNetv2:
    shapes = shapes_in(KEYS)
    names = official_names_v2(list(shapes))
    network = ESPNetv2(20, scale="0.5")
    state = {ours: reference_tensor(key, shapes[key]) for key, ours in names.items() if ours is not None}
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    return network.eval()


@pytest.mark.parametrize("scale", OFFICIAL)
def test_the_parameters_are_the_official_ones_less_the_uncalled(scale: str) -> None:
    network = meta_network(ESPNETV2, 20, {"scale": scale})
    counted = count_parameters(network)
    assert counted.trained == counted.deployed == OFFICIAL[scale] - UNCALLED[scale]


def test_the_options_offer_the_counted_scales_the_largest_first() -> None:
    assert ESPNETV2.options["scale"].choices == tuple(OFFICIAL)


def test_the_multiply_accumulates_are_those_of_the_official_code() -> None:
    macs = count_macs(meta_network(ESPNETV2, 20), Resolution(512, 1024), "espnetv2")
    assert macs == pytest.approx(5.67e9, rel=1e-3)


def test_the_logits_equal_the_official_ones(reference_network: ESPNetv2) -> None:
    images = torch.from_numpy(np.random.RandomState(1234).randn(1, 3, 64, 96).astype(np.float32))
    with torch.inference_mode():
        main, auxiliary = reference_network.training_logits(images)
    # The official code upsamples the auxiliary logits three times by 2.
    for _ in range(3):
        auxiliary = doubled(auxiliary)
    with np.load(LOGITS) as vectors:
        for name, logits in (("main", doubled(main)), ("auxiliary", auxiliary)):
            expected = vectors[name]
            atol = TOLERANCE * np.abs(expected).max()
            np.testing.assert_allclose(logits[:, :, ::8, ::8], expected, rtol=0, atol=atol, err_msg=name)


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def test_the_official_names_become_all_of_ours_and_what_is_dropped_is_never_called() -> None:
    official = shapes_in(KEYS)
    names = official_names_v2(list(official))
    dropped = [key for key, ours in names.items() if ours is None]
    assert dropped == [f"net.level{level}_0.eesp.module_act.weight" for level in (2, 3, 4)]
    assert sum(official[key][0] for key in dropped) == UNCALLED["0.5"]
    network = meta_network(ESPNETV2, 20, {"scale": "0.5"})
    ours = {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert {name: official[key] for key, name in names.items() if name is not None} == ours


def test_names_that_no_official_checkpoint_has_stay_as_they_are() -> None:
    names = ["stem.0.weight", "net.level5.0.module_act.weight"]
    assert official_names_v2(names) == {name: name for name in names}


@pytest.mark.parametrize(("height", "width"), [(360, 480), (34, 50)])
def test_maps_of_odd_sides_are_joined(height: int, width: int) -> None:
    network = meta_network(ESPNETV2, 11, {"scale": "0.5"})
    main, auxiliary = network.training_logits(torch.empty(1, 3, height, width, device="meta"))
    assert main.shape == (1, 11, height // 2, width // 2)
    assert auxiliary.shape == (1, 11, -(-height // 8), -(-width // 8))


def test_a_unit_adds_its_input_only_where_it_has_as_many_channels() -> None:
    same, other = EESP(16, 16, dilations=NARROW).eval(), EESP(32, 16, dilations=NARROW).eval()
    for unit in (same, other):
        torch.nn.init.zeros_(unit.pyramid.expand[1].weight)
    with torch.inference_mode():
        x = torch.rand(1, 16, 5, 7)
        assert torch.equal(same(x), x)
        assert not other(torch.cat([x, x], 1)).any()


def test_the_decoders_pooling_takes_maps_down_to_one_pixel() -> None:
    with torch.inference_mode():
        out = DepthwisePyramidPooling(4).eval()(torch.randn(1, 4, 1, 2))
    assert out.shape == (1, 4, 1, 2)
    assert out.isfinite().all()
