"""What holds for every registered network; a new one adds a spec, not a test."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from rtseg.artifacts.manifest import read_manifest
from rtseg.datasets.registry import class_spec
from rtseg.errors import SpecError
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.onnx_file import export_onnx
from rtseg.exporting.tensorrt_operators import unsupported_operators
from rtseg.networks.checkpoints import network_from_checkpoint, save_checkpoint
from rtseg.networks.complexity import Parameters, complexity, count_macs, meta_network
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.networks.registry import network_names, network_spec
from rtseg.networks.spec import SegmentationNetwork
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.specs import INTERFACES, Resolution, contract_metadata

CLASSES = class_spec("camvid")
SMALL = Resolution(64, 96)
CAMVID = Resolution(360, 480)
COUNTED = Resolution(256, 512)
AT_CAMVIDS_SIZE = ("affnet", "haff")
OF_EACH_STRIDE = ("affnet", "enet", "espnetv2", "fast_scnn", "haff", "mlff")
"""Networks of each stride and rule of upsampling: all that the interfaces beside the logits depend on."""

DEEPER = ("s2fpn34", "s2fpn34m")
"""s2fpn18 with a deeper trunk: the same code, many more weights, and so in the slow lane."""

LARGE = ("fcn8s", "pspnet", "unet")
"""More than 20 million weights: what is slow for weights alone is in the slow lane."""

EXPORTED_WITH = {
    "logits": tuple(name for name in network_names() if name not in LARGE),
    "scores": ("affnet", "enet"),
    "labels": OF_EACH_STRIDE,
}
"""The networks that are exported here with each interface. Labels are made of scores."""

PAPERS_SIZES = ("512x512", "512x1024", "1024x2048")

RELATIVE_TOLERANCE = 2e-4
"""Of the largest logit. Folded BatchNorm and another order of summation give 1e-6 to 3e-5 here."""

SAME_LABELS = 0.999
"""Share of pixels; two classes that tie to within rounding may go either way."""

SHAPE_OPERATORS = {"Shape", "Size", "Gather", "NonZero", "If", "Loop", "Scan"}


def names(*, slow: tuple[str, ...]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in network_names()]


@pytest.fixture(scope="module", params=names(slow=DEEPER))
def network(request: pytest.FixtureRequest) -> PreparedNetwork:
    """The network with random weights, none of them zero, so that every part has a say in the output."""
    return seeded_and_awake(request.param)


@pytest.fixture(scope="module", params=names(slow=(*DEEPER, *LARGE)))
def light(request: pytest.FixtureRequest) -> PreparedNetwork:
    """The same, for tests that build, copy or store it again."""
    return seeded_and_awake(request.param)


def seeded_and_awake(name: str) -> PreparedNetwork:
    prepared = network_with_random_weights(name, CLASSES, seed=1)
    wake(prepared.module)
    return prepared


@pytest.fixture(scope="module")
def meta(network: PreparedNetwork) -> SegmentationNetwork:
    """The network without memory, which has shapes and counts, and computes nothing."""
    return meta_network(network_spec(network.name), len(CLASSES))


class Counted(NamedTuple):
    parameters: Parameters
    macs: int


@pytest.fixture(scope="module")
def counted(network: PreparedNetwork, meta: SegmentationNetwork) -> Counted:
    """Its parameters, and its multiply-accumulates at one size."""
    return Counted(*complexity(meta, COUNTED, network.name))


@pytest.fixture(scope="module")
def small_logits(light: PreparedNetwork) -> torch.Tensor:
    """What the network makes of the small image; not to be changed."""
    return logits_of(light, SMALL)


class Seeded(NamedTuple):
    network: PreparedNetwork
    logits: torch.Tensor


@pytest.fixture(scope="module")
def of_seed_7(light: PreparedNetwork) -> Seeded:
    """The network with the random weights of that seed; not to be changed."""
    return seeded(light.name, 7)


def seeded(name: str, seed: int) -> Seeded:
    prepared = network_with_random_weights(name, CLASSES, seed=seed)
    return Seeded(prepared, logits_of(prepared, SMALL))


def wake(module: nn.Module) -> None:
    random = torch.Generator().manual_seed(2)
    for parameter in module.parameters():
        if not parameter.detach().any():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=random)


def images(resolution: Resolution, batch: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randn(batch, 3, resolution.height, resolution.width, generator=random)


def logits_of(network: PreparedNetwork, resolution: Resolution) -> torch.Tensor:
    with torch.inference_mode():
        return network.module.eval()(images(resolution))


# What a network is


def test_the_same_seed_gives_the_same_weights_and_logits(of_seed_7: Seeded) -> None:
    again = seeded(of_seed_7.network.name, 7)
    one, other = (made.network.module.state_dict() for made in (of_seed_7, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert torch.equal(of_seed_7.logits, again.logits)


def test_another_seed_gives_other_weights(of_seed_7: Seeded) -> None:
    assert not torch.equal(of_seed_7.logits, seeded(of_seed_7.network.name, 8).logits)


def test_building_a_network_leaves_torchs_random_numbers_alone(light: PreparedNetwork) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    network_with_random_weights(light.name, CLASSES, seed=9)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("multiples", [(8, 12), (9, 13), (11, 7)])
def test_the_logits_are_the_image_over_the_stride(network: PreparedNetwork, multiples: tuple[int, int]) -> None:
    stride, multiple = network.module.stride, network.module.multiple
    resolution = Resolution(*(max(n, -(-64 // multiple)) * multiple for n in multiples))
    logits = logits_of(network, resolution)
    assert logits.shape == (1, len(CLASSES), resolution.height // stride, resolution.width // stride)
    assert logits.isfinite().all()


def test_camvids_size_has_logits_at_the_stride(meta: SegmentationNetwork) -> None:
    logits = meta(torch.empty(1, 3, CAMVID.height, CAMVID.width, device="meta"))
    assert logits.shape == (1, len(CLASSES), 360 // meta.stride, 480 // meta.stride)


def test_an_image_of_a_side_the_network_does_not_take_is_refused(network: PreparedNetwork) -> None:
    if network.module.multiple == 1:
        pytest.skip("it takes every size")
    with pytest.raises(SpecError, match=rf"multiples of {network.module.multiple}; got 65x96"):
        network.image_spec(Resolution(65, 96))


def test_logits_of_a_picture_do_not_depend_on_its_neighbours_in_the_batch(network: PreparedNetwork) -> None:
    pictures = images(SMALL, batch=3)
    with torch.inference_mode():
        together = network.module.eval()(pictures)
        alone = network.module(pictures[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=RELATIVE_TOLERANCE * float(alone.abs().max()))


def test_the_gradient_of_the_training_logits_reaches_every_parameter(light: PreparedNetwork) -> None:
    copy = network_with_random_weights(light.name, CLASSES, seed=1).module.train()
    wake(copy)
    torch.manual_seed(0)
    outputs = copy.training_logits(images(Resolution(64, 128), batch=2))
    torch.stack([(output**2).mean() for output in outputs]).sum().backward()
    assert [name for name, p in copy.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_first_training_logits_are_the_networks_own(light: PreparedNetwork, small_logits: torch.Tensor) -> None:
    with torch.inference_mode():
        first = light.module.eval().training_logits(images(SMALL))[0]
    assert torch.equal(first, small_logits)


def test_a_checkpoint_gives_the_same_logits_bit_for_bit(
    light: PreparedNetwork, small_logits: torch.Tensor, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "weights.safetensors", light, SMALL)
    loaded = network_from_checkpoint(tmp_path / "weights.safetensors")
    assert torch.equal(logits_of(loaded, SMALL), small_logits)


def test_the_parameters_are_counted_as_they_are(network: PreparedNetwork, counted: Counted) -> None:
    parameters = counted.parameters
    assert parameters.trained == sum(parameter.numel() for parameter in network.module.parameters())
    assert 0 < parameters.deployed <= parameters.trained


def test_four_times_the_pixels_are_about_four_times_the_multiply_accumulates(
    network: PreparedNetwork, meta: SegmentationNetwork, counted: Counted
) -> None:
    # Not exactly: what is pooled to fixed bins or to one value costs the same at every size.
    large = count_macs(meta, Resolution(2 * COUNTED.height, 2 * COUNTED.width), network.name)
    assert large / counted.macs == pytest.approx(4, rel=0.01)


def test_what_is_called_the_auxiliary_heads_is_what_the_logits_do_not_depend_on(
    meta: SegmentationNetwork, counted: Counted
) -> None:
    heads = meta.get_submodule(meta.auxiliary_heads).parameters() if meta.auxiliary_heads else []
    assert sum(parameter.numel() for parameter in heads) == counted.parameters.trained - counted.parameters.deployed


def test_a_checkpoint_without_its_heads_gives_the_same_logits(
    light: PreparedNetwork, small_logits: torch.Tensor, tmp_path: Path
) -> None:
    if not light.module.auxiliary_heads:
        pytest.skip("it has no auxiliary heads")
    save_checkpoint(tmp_path / "weights.safetensors", light, SMALL, heads=False)
    save_checkpoint(tmp_path / "whole.safetensors", light, SMALL)
    loaded = network_from_checkpoint(tmp_path / "weights.safetensors")
    assert torch.equal(logits_of(loaded, SMALL), small_logits)
    smaller, whole = (path.stat().st_size for path in sorted(tmp_path.glob("*.safetensors")))
    assert smaller < whole


def test_the_networks_that_stand_for_their_strides_stand_for_all_of_them() -> None:
    def tails(names: Iterable[str]) -> set[tuple[int, bool]]:
        modules = [meta_network(network_spec(name), len(CLASSES)) for name in names]
        # At stride 1 nothing is upsampled, by either rule.
        return {(module.stride, module.align_corners and module.stride > 1) for module in modules}

    assert tails(OF_EACH_STRIDE) == tails(network_names())


# What an export is


def held_to_the_contract(
    network: PreparedNetwork, resolution: Resolution, path: Path, interface: str
) -> tuple[float, float]:
    """Export, check the file with ONNX alone, and return (relative difference, share of equal labels)."""
    export_onnx(network, resolution, path, interface=interface)
    manifest = read_manifest(path, kind="onnx")
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert not {node.op_type for node in model.graph.node} & SHAPE_OPERATORS
    assert tuple(unsupported_operators(model)) == manifest.details.unsupported_by_tensorrt_8_5 == ()
    assert normalised_convolutions(model) == []
    assert all(side.HasField("dim_value") for side in model.graph.input[0].type.tensor_type.shape.dim)
    carried = {entry.key: entry.value for entry in model.metadata_props}
    assert carried == contract_metadata(network.image_spec(resolution), network.output_spec(interface))
    assert json.loads(carried["rtseg.output"]) == manifest.output.to_json()

    module, source = interface_module(network, interface, resolution)
    random = np.random.default_rng(11)  # not the input the export itself compared
    if source.dtype == "uint8":
        array = random.integers(0, 256, source.shape, np.uint8)
    else:
        array = random.standard_normal(source.shape, np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(array)).numpy()
    with OnnxRuntimeRunner(path, threads=1) as runner:
        result = runner.infer(array)
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    if interface == "labels":
        return 0.0, float(np.mean(result == expected))
    # Not the largest difference: where ENet unpools one of two values that tie, rounding decides which.
    return (
        float(np.quantile(np.abs(result - expected), 0.999) / np.abs(expected).max()),
        float(np.mean(result.argmax(1) == expected.argmax(1))),
    )


def normalised_convolutions(model: onnx.ModelProto) -> list[str]:
    """Return the BatchNormalizations that follow a convolution nobody else reads: those that fold."""
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    return [n.name for n in norms if "Conv" in producers.get(n.input[0], "") and readers[n.input[0]] == 1]


@pytest.mark.parametrize("interface", INTERFACES)
def test_every_interface_exports_to_the_canonical_file_that_agrees(
    network: PreparedNetwork, interface: str, tmp_path: Path
) -> None:
    if network.name not in EXPORTED_WITH[interface]:
        pytest.skip("this export is a slow test")
    difference, same = held_to_the_contract(network, SMALL, tmp_path / "small.onnx", interface)
    assert difference < RELATIVE_TOLERANCE
    assert same > SAME_LABELS


def test_camvids_size_exports_to_the_canonical_file_that_agrees(network: PreparedNetwork, tmp_path: Path) -> None:
    if network.name not in AT_CAMVIDS_SIZE:
        pytest.skip("its exports at this size and above are slow tests")
    difference, same = held_to_the_contract(network, CAMVID, tmp_path / "camvid.onnx", "logits")
    assert difference < RELATIVE_TOLERANCE
    assert same > SAME_LABELS


@pytest.mark.slow
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("size", ("360x480", *PAPERS_SIZES))
def test_every_network_exports_at_the_papers_sizes(
    network: PreparedNetwork, size: str, interface: str, tmp_path: Path
) -> None:
    difference, same = held_to_the_contract(network, Resolution.parse(size), tmp_path / "large.onnx", interface)
    assert difference < RELATIVE_TOLERANCE
    assert same > SAME_LABELS


@pytest.mark.parametrize("size", ["512x512", "512x1024", pytest.param("1024x2048", marks=pytest.mark.slow)])
def test_affnet_exports_at_the_papers_sizes(affnet: PreparedNetwork, size: str, tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    resolution = Resolution.parse(size)
    exported = export_onnx(affnet, resolution, path)
    manifest, report = exported.artifact.manifest, exported.parity
    assert report.inputs[0].relative_difference < RELATIVE_TOLERANCE
    assert report.inputs[0].label_agreement > SAME_LABELS
    assert manifest.image.resolution == resolution
    output = onnx.load(path, load_external_data=False).graph.output[0].type.tensor_type.shape
    assert [side.dim_value for side in output.dim] == [1, 11, resolution.height // 8, resolution.width // 8]


def test_an_export_at_a_size_that_does_not_fit_writes_nothing(network: PreparedNetwork, tmp_path: Path) -> None:
    if network.module.multiple == 1:
        pytest.skip("it takes every size")
    with pytest.raises(SpecError, match="multiples of"):
        export_onnx(network, Resolution(65, 96), tmp_path / "odd.onnx")
    assert list(tmp_path.iterdir()) == []
