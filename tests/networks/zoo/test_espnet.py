from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtseg.accuracy.validation import measured_accuracy
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.errors import CheckpointError, SpecError
from rtseg.exporting.interfaces import interface_module
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.checkpoints import network_from_weights
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.prepared import build_network
from rtseg.networks.zoo.espnet import ESPNET, ESPNet
from rtseg.networks.zoo.espnet_checkpoint import official_names
from rtseg.runners.loading import load
from rtseg.runners.torch import TorchRunner
from rtseg.specs import Resolution
from tests.networks.zoo.reference_weights import reference_tensor, shapes_in
from tests.outside import outside

DATA = Path(__file__).parents[2] / "data"
KEYS = DATA / "espnet_camvid_p2_q8_keys.tsv"
"""Names and shapes of the official CamVid weights."""

LOGITS = DATA / "espnet_logits.npz"
"""Of the official code with the weights of reference_tensor, every 16th pixel, by skip."""

WEIGHTS = ("checkpoints/espnet_camvid_p2_q8.pth", "checkpoints/espnet_cityscapes_p2_q8.pth")
"""The official ones."""

CAMVID_WEIGHTS, CITYSCAPES_WEIGHTS = map(outside, WEIGHTS)
CAMVID = outside("camvid")
CAMVID_SIZE = Resolution(360, 480)

PARAMETERS = {
    ("8", "features"): 364_569,
    ("5", "features"): 267_417,
    ("3", "features"): 202_649,
    ("8", "features+image"): 365_109,
}
"""For 20 classes, by q and skip: those of the official weights, and of the official training code."""

TOLERANCE = 1e-4
"""Of the largest logit: float32 convolutions summed in another order. An epsilon of 1e-5 makes 1e-2."""


def shapes_of(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    state = network.state_dict()
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


def reference_network(classes: int, skip: str) -> ESPNet:
    network = ESPNet(classes, skip=skip)
    shapes = shapes_of(network)
    names = official_names(list(shapes_in(KEYS)))
    state = {ours: reference_tensor(key, shapes[ours]) for key, ours in names.items() if ours is not None}
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    return network.eval()


@pytest.mark.parametrize(("q", "skip"), PARAMETERS)
def test_the_parameters_are_as_many_as_published(q: str, skip: str) -> None:
    network = meta_network(ESPNET, 20, {"q": q, "skip": skip})
    assert count_parameters(network).deployed == PARAMETERS[q, skip]


def test_the_default_for_camvid_and_void_has_the_parameters_of_the_official_camvid_weights() -> None:
    assert count_parameters(meta_network(ESPNET, 12)).deployed == 354_517


def test_the_multiply_accumulates_are_those_of_the_official_code() -> None:
    network = meta_network(ESPNET, 20, {"q": "3"})
    assert count_macs(network, Resolution(512, 1024), "espnet") == pytest.approx(3.47e9, rel=1e-3)


@pytest.mark.parametrize(("skip", "classes"), [("features+image", 12), ("features", 20)])
def test_the_logits_equal_the_official_ones(skip: str, classes: int) -> None:
    images = torch.from_numpy(np.random.RandomState(1234).randn(1, 3, 128, 192).astype(np.float32))
    with torch.inference_mode():
        logits = reference_network(classes, skip)(images).numpy()
    with np.load(LOGITS) as vectors:
        expected = vectors[skip]
    np.testing.assert_allclose(logits[:, :, ::16, ::16], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_the_official_names_become_all_of_ours_with_nothing_left_over() -> None:
    official = shapes_in(KEYS)
    names = official_names(list(official))
    assert len(names) == 189
    assert {str(ours): official[key] for key, ours in names.items()} == shapes_of(meta_network(ESPNET, 12))


def test_no_two_official_names_become_the_same() -> None:
    ours = list(official_names(list(shapes_in(KEYS))).values())
    assert None not in ours
    assert len(set(ours)) == len(ours)


def test_names_that_no_official_checkpoint_has_stay_as_they_are() -> None:
    names = ["level1.conv.weight", "stem.0.weight", "encoder.level3.8.c1.conv.weight"]
    assert official_names(names) == {name: name for name in names}


def test_too_few_classes_for_the_decoders_branches_are_refused() -> None:
    with pytest.raises(SpecError, match="too small for espnet; got 4; expected 5 or more"):
        ESPNet(4)


def test_the_smallest_number_of_classes_gives_finite_logits() -> None:
    with torch.inference_mode():
        logits = ESPNet(5).eval()(torch.randn(1, 3, 16, 24))
    assert logits.shape == (1, 5, 16, 24)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("dataset", "mean", "deviation"),
    [
        ("camvid", (110.331, 108.409, 105.034), (72.125, 72.688, 69.903)),
        ("cityscapes", (72.3923, 82.9089, 73.1584), (45.3192, 46.1529, 44.9148)),
        ("streets", (72.3923, 82.9089, 73.1584), (45.3192, 46.1529, 44.9148)),
    ],
)
def test_pixels_become_what_the_authors_feed(
    dataset: str, mean: tuple[float, float, float], deviation: tuple[float, float, float]
) -> None:
    normalization = ESPNET.normalization_for(dataset)
    assert normalization.colour_order == "BGR"
    pixel = np.array([200.0, 100.0, 50.0])
    fed = (pixel * normalization.scale - normalization.mean) / normalization.std
    np.testing.assert_allclose(fed, (pixel - mean) / deviation / 255, rtol=1e-5)


@pytest.mark.data(*WEIGHTS)
@pytest.mark.parametrize(
    ("path", "classes", "skip"),
    [(CAMVID_WEIGHTS, "camvid+void", "features+image"), (CITYSCAPES_WEIGHTS, "cityscapes+void", "features")],
)
def test_the_official_weights_are_imported_whole(path: Path, classes: str, skip: str) -> None:
    network, report = network_from_weights(path, build_network("espnet", class_spec(classes), options={"skip": skip}))
    assert (len(report.taken) + len(report.renamed), report.dropped) == (189, ())
    assert network.normalization == ESPNET.normalization_for(class_spec(classes).dataset)


@pytest.mark.data(*WEIGHTS)
def test_the_cityscapes_weights_do_not_fit_the_other_skip() -> None:
    with pytest.raises(CheckpointError, match=r"merge1.*got \(20, 36, 3, 3\); expected \(20, 39, 3, 3\)"):
        network_from_weights(CITYSCAPES_WEIGHTS, build_network("espnet", class_spec("cityscapes+void")))


@pytest.mark.slow
@pytest.mark.data(*WEIGHTS, "camvid/val")
def test_the_official_camvid_weights_are_as_right_here_as_in_the_official_code(one_core: None) -> None:
    # On the first 20 validation pictures. All 101 give mIoU 0.7010 and class accuracy 0.7971, here and there.
    network, _ = network_from_weights(CAMVID_WEIGHTS, build_network("espnet", class_spec("camvid+void")))
    runner = TorchRunner(*interface_module(network, "logits", CAMVID_SIZE))
    with Segmenter(runner, network.image_spec(CAMVID_SIZE), network.output_spec("logits")) as segmenter:
        result = measured_accuracy(segmenter, open_dataset(f"camvid:{CAMVID}", "val"), limit=20)
    assert result.miou == pytest.approx(0.6815, abs=5e-4)
    assert result.mean_class_accuracy == pytest.approx(0.7525, abs=5e-4)


@pytest.mark.data(*WEIGHTS, "camvid/val")
def test_an_export_of_the_official_camvid_weights_is_as_right_as_the_network(tmp_path: Path) -> None:
    # On the first 4 validation pictures, of which the network itself gives this mIoU.
    network, _ = network_from_weights(CAMVID_WEIGHTS, build_network("espnet", class_spec("camvid+void")))
    export_onnx(network, CAMVID_SIZE, tmp_path / "espnet.onnx", interface="labels")
    with load(tmp_path / "espnet.onnx", threads=1) as segmenter:
        result = measured_accuracy(segmenter, open_dataset(f"camvid:{CAMVID}", "val"), limit=4)
    assert result.miou == pytest.approx(0.6970, abs=5e-4)
