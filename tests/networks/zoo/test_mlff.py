from __future__ import annotations

import io

import pytest
import torch

from rtseg.errors import UnknownNameError
from rtseg.networks.complexity import count_parameters, meta_network
from rtseg.networks.zoo.deeplabv3plus import DEEPLABV3PLUS_MOBILENETV2
from rtseg.networks.zoo.mlff import MLFF, EnhancedLevels, FeatureEnhancement

PARAMETERS = {"with": 6_023_677, "without": 5_818_149}
"""For 21 classes, by whether the FE modules are there."""

WEIGHTS_MIB = {"with": 23.2, "without": 22.4}
"""Table 4 prints the first, in MB of 2^20 bytes; the second is the file of the baseline's public code."""


@pytest.mark.parametrize("feature_enhancement", PARAMETERS)
def test_the_parameters_are_as_many_as_the_printed_file_holds(feature_enhancement: str) -> None:
    counted = count_parameters(meta_network(MLFF, 21, {"feature_enhancement": feature_enhancement}))
    assert (counted.trained, counted.deployed) == (PARAMETERS[feature_enhancement],) * 2


@pytest.mark.parametrize("feature_enhancement", WEIGHTS_MIB)
def test_the_file_of_weights_has_the_printed_size(feature_enhancement: str) -> None:
    # The format of PyTorch 1.2.0, which the paper used.
    file = io.BytesIO()
    state = MLFF.build(21, feature_enhancement=feature_enhancement).state_dict()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    assert round(file.tell() / 2**20, 1) == WEIGHTS_MIB[feature_enhancement]


def test_without_feature_enhancement_it_is_the_baseline_of_table_3() -> None:
    torch.manual_seed(0)
    baseline = DEEPLABV3PLUS_MOBILENETV2.build(5).eval()
    reduced = MLFF.build(5, feature_enhancement="without").eval()
    reduced.load_state_dict(baseline.state_dict())
    images = torch.randn(1, 3, 36, 52)
    with torch.inference_mode():
        assert torch.equal(reduced(images), baseline(images))


@pytest.mark.parametrize(("output_stride", "side"), [("16", 32), ("32", 16)])
def test_the_output_stride_is_the_pyramids(output_stride: str, side: int) -> None:
    seen = []
    network = meta_network(MLFF, 21, {"output_stride": output_stride})
    network.get_submodule("pyramid").register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    logits = network(torch.zeros(1, 3, 512, 512, device="meta"))
    assert seen == [(1, 320, side, side)]
    assert logits.shape == (1, 21, 128, 128)


def test_both_output_strides_have_the_same_parameters() -> None:
    coarse, fine = (meta_network(MLFF, 21, {"output_stride": stride}).state_dict() for stride in ("16", "32"))
    assert {k: v.shape for k, v in coarse.items()} == {k: v.shape for k, v in fine.items()}


def test_by_default_it_has_the_modules_and_the_baselines_output_stride() -> None:
    assert MLFF.complete_options({}) == {"feature_enhancement": "with", "output_stride": "16"}


def test_another_output_stride_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="one of 16, 32"):
        MLFF.complete_options({"output_stride": "8"})


@pytest.mark.parametrize(("height", "width"), [(360, 480), (36, 52)])
def test_maps_of_odd_sizes_are_joined_at_a_quarter(height: int, width: int) -> None:
    logits = meta_network(MLFF, 21)(torch.zeros(1, 3, height, width, device="meta"))
    assert logits.shape == (1, 21, height // 4, width // 4)


def test_enhanced_features_are_64_of_each_level_at_a_quarter() -> None:
    torch.manual_seed(0)
    path = EnhancedLevels().eval()
    quarter, eighth = torch.randn(1, 24, 9, 13), torch.randn(1, 32, 5, 7)
    with torch.inference_mode():
        features = path(quarter, eighth)
        other = path(quarter, torch.randn_like(eighth))
    assert features.shape == (1, 128, 9, 13)
    assert torch.equal(features[:, :64], other[:, :64])
    assert not torch.equal(features[:, 64:], other[:, 64:])


def test_the_local_branch_sees_the_neighbours_and_the_other_branch_everything() -> None:
    torch.manual_seed(0)
    module = FeatureEnhancement(4, 64).eval()
    x = torch.randn(1, 4, 9, 9)
    changed = x.clone()
    changed[0, :, 4, 4] += 1
    with torch.inference_mode():
        local = (module.local(x) != module.local(changed)).any(1)[0]
        everywhere = (module(x) != module(changed)).any(1)[0]
    assert {(int(y), int(x)) for y, x in local.nonzero()} <= {(y, x) for y in (3, 4, 5) for x in (3, 4, 5)}
    assert local.any()
    assert everywhere.all()
