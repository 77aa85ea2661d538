"""A small network in every precision of this TensorRT: built, audited, run, and held against ONNX Runtime."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtseg
from rtseg.artifacts.manifest import Manifest, manifest_path, read_manifest, write_manifest
from rtseg.engines.building import build_ready
from rtseg.engines.engine_cache import EngineCache
from rtseg.engines.engine_file import BuiltEngine
from rtseg.engines.layer_audit import audit, count_of
from rtseg.engines.layers_file import read_layers
from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError, ImageError, ManifestError, MissingDependencyError, RtsegError, RunnerError
from rtseg.frame.palette import overlay
from rtseg.frame.segmenter import Segmenter
from rtseg.runners.cuda import CudaDriver
from rtseg.runners.tensorrt.frames import DeviceFrames
from rtseg.runners.tensorrt.release import tensorrt_release, tensorrt_version
from rtseg.runners.tensorrt.runner import TensorRtRunner
from tests.gpu.stored_graphs import StoredGraph, reference, stored_graphs

SETTINGS = BuildSettings(tf32=False, external_tactics=False)
"""FP32 in all its bits, and nothing of cuDNN or cuBLAS, which need not be installed."""

CASES = [("logits", "fp32"), ("logits", "fp16"), ("logits", "int8"), ("labels", "fp32"), ("labels", "fp16")]
LOGITS = CASES[:3]

FARTHEST = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.5}
"""From the stored logits, which have a standard deviation of 1. In FP16 ONNX Runtime itself is 0.003 off. A value of
INT8 that lies between two steps may fall to the other one, and a step is some 0.05."""

AGREEING = {"fp32": 0.999, "fp16": 0.99, "int8": 0.93}
"""Least share of the pixels. The weights are random, so that there are borders everywhere."""

Arrays = Mapping[str, np.ndarray]


class Engines:
    """The engines of this TensorRT, each built when a test first asks for it."""

    def __init__(self, folder: Path) -> None:
        form = "typed" if tensorrt_version() >= (10, 0) else "flags"
        graphs = [graph for graph in stored_graphs() if graph.form == form]
        self.form = form
        self.graphs = {(graph.interface, graph.ready.precision): graph for graph in graphs}
        self.cache = EngineCache(folder / "cache")
        self._folder = folder
        self._built: dict[tuple[str, str], BuiltEngine] = {}

    def __call__(self, interface: str, precision: str) -> BuiltEngine:
        case = interface, precision
        if case not in self._built:
            self._built[case] = self.build(self.graphs[case], self._folder / f"{interface}.{precision}.engine")
        return self._built[case]

    def build(self, graph: StoredGraph, path: Path) -> BuiltEngine:
        # keep_anyway, so that an engine of another precision fails the one test about that and not all of them.
        return build_ready(graph.ready, graph.parent, path, settings=SETTINGS, cache=self.cache, keep_anyway=True)


@pytest.fixture(scope="session")
def engines(capturing: CudaDriver, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    try:
        tensorrt_release("testing engines")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return Engines(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="session")
def stored() -> Arrays:
    return reference()


@pytest.fixture
def engine_copy(engines: Engines, tmp_path: Path) -> Path:
    """The FP32 engine with its manifest, for a test that damages it."""
    built = engines("logits", "fp32")
    path = tmp_path / "copy.engine"
    shutil.copy(built.path, path)
    shutil.copy(manifest_path(built.path), manifest_path(path))
    return path


def opened(built: BuiltEngine, cuda: CudaDriver) -> Segmenter:
    """Return a segmenter of the engine that drives CUDA through one implementation; rtseg.load takes the default."""
    return Segmenter(TensorRtRunner(built.path, cuda=cuda.name), built.manifest.image, built.manifest.output)


def frames_of(segmenter: Segmenter) -> DeviceFrames:
    frames = segmenter.runner.frames(segmenter.image, segmenter.output)
    assert isinstance(frames, DeviceFrames)
    return frames


def agreement(got: np.ndarray, wanted: np.ndarray) -> float:
    assert got.dtype == np.uint8 and got.shape == wanted.shape
    return float((got == wanted).mean())


def tensors(segmenter: Segmenter, count: int) -> list[np.ndarray]:
    """Return that many different inputs of the graph."""
    shape, dtype = segmenter.runner.input.shape, segmenter.runner.input.dtype
    rng = np.random.default_rng(7)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(count)]


def pictures(count: int) -> list[np.ndarray]:
    """Return that many different images of different sizes."""
    rng = np.random.default_rng(8)
    sizes = [(64, 96), (80, 130), (33, 47)]  # the first is the network's own
    return [rng.integers(0, 256, (*sizes[index % len(sizes)], 3), np.uint8) for index in range(count)]


# ------------------------------------------------------------------------------------------------- built


@pytest.mark.parametrize(("interface", "precision"), CASES)
def test_an_engine_computes_in_the_precision_that_was_asked_for(
    engines: Engines, interface: str, precision: str
) -> None:
    built = engines(interface, precision)
    products = audit(read_layers(built.path)).weighted
    kinds = {product.layer.name: product.precision for product in products}
    assert len(products) >= 4 and "unknown" not in kinds.values(), kinds
    if precision == "fp16" and engines.form == "flags":
        # The flag allows FP16, and of layers this small TensorRT may well measure FP32 to be as fast.
        assert count_of(products, "fp16", "fp32", "tf32") == len(products), kinds
    else:
        assert built.verdict.passed, built.verdict.failures


def test_the_manifest_says_what_was_built_from_what_and_for_what(engines: Engines, capturing: CudaDriver) -> None:
    built, graph = engines("logits", "int8"), engines.graphs["logits", "int8"]
    manifest = read_manifest(built.path, kind="engine")
    assert manifest == built.manifest
    assert (manifest.precision, manifest.parent_sha256) == ("int8", graph.parent.sha256)
    assert (manifest.image, manifest.output) == (graph.parent.image, graph.parent.output)
    told = manifest.details
    assert told["tensorrt"] == tensorrt_release("testing engines") and told["device"] == capturing.device.name
    assert told["lowered_sha256"] == graph.ready.sha256 and told["typed"] == (engines.form == "typed")


def test_the_same_request_is_not_built_twice(engines: Engines, tmp_path: Path) -> None:
    first = engines("logits", "fp32")
    second = engines.build(engines.graphs["logits", "fp32"], tmp_path / "again.engine")
    assert second.from_cache and second.path.read_bytes() == first.path.read_bytes()


def test_a_graph_that_tensorrt_cannot_parse_leaves_no_file_and_says_why(engines: Engines, tmp_path: Path) -> None:
    graph = engines.graphs["logits", "fp32"]
    damaged = replace(graph.ready, graph=graph.ready.graph.replace(b"Conv", b"Cnov"), sha256="0" * 64)
    with pytest.raises(EngineError, match="Cnov"):
        engines.build(replace(graph, ready=damaged), tmp_path / "damaged.engine")
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- run


@pytest.mark.parametrize(("interface", "precision"), CASES)
def test_an_engine_gives_what_onnxruntime_gives(
    engines: Engines, stored: Arrays, cuda: CudaDriver, interface: str, precision: str
) -> None:
    wanted = stored[f"output-{engines.graphs[interface, precision].made_from}"]
    with opened(engines(interface, precision), cuda) as segmenter:
        got = segmenter.runner.infer(segmenter.tensor(stored["picture"]))
    assert got.shape == wanted.shape
    if interface == "labels":
        assert agreement(got, wanted) >= AGREEING[precision]
    else:
        assert np.abs(got.astype(np.float32) - wanted).max() <= FARTHEST[precision]


@pytest.mark.parametrize(("interface", "precision"), CASES)
def test_the_labels_of_a_frame_are_those_of_onnxruntime(
    engines: Engines, stored: Arrays, cuda: CudaDriver, interface: str, precision: str
) -> None:
    wanted = stored[f"frame-{engines.graphs[interface, precision].made_from}"]
    with opened(engines(interface, precision), cuda) as segmenter:
        assert agreement(segmenter(stored["picture"]), wanted) >= AGREEING[precision]


@pytest.mark.parametrize(("interface", "precision"), CASES)
def test_the_gpus_ends_give_the_labels_of_the_hosts_ends(engines: Engines, interface: str, precision: str) -> None:
    with rtseg.load(engines(interface, precision).path) as segmenter:
        for picture in pictures(3):
            result = segmenter.runner.infer(segmenter.tensor(picture))
            height, width, _ = picture.shape
            assert agreement(segmenter(picture), segmenter.labels(result, height=height, width=width)) == 1


@pytest.mark.parametrize(("interface", "precision"), LOGITS)
def test_a_bound_step_runs_again_and_again_on_what_is_in_its_buffers(
    engines: Engines, cuda: CudaDriver, interface: str, precision: str
) -> None:
    with opened(engines(interface, precision), cuda) as segmenter:
        given = tensors(segmenter, 3)
        step = segmenter.runner.bind(given[0])
        assert (step.graph is not None) == cuda.captures, step.why_no_graph
        step()
        assert np.array_equal(step.output, segmenter.runner.infer(given[0]))
        for tensor in given[1:]:
            step.input[...] = tensor
            for _ in range(3):
                step.launch()
            step.wait()
            assert np.array_equal(step.output, segmenter.runner.infer(tensor))


@pytest.mark.parametrize(("interface", "precision"), [("logits", "fp16"), ("labels", "fp16")])
def test_a_bound_frame_runs_again_and_again_on_what_is_in_its_buffers(
    engines: Engines, cuda: CudaDriver, interface: str, precision: str
) -> None:
    with opened(engines(interface, precision), cuda) as segmenter:
        first, second = pictures(4)[::3]
        step = segmenter.bind(first)
        for picture in (first, second, first):
            step.image[...] = picture
            step.launch()
            step.wait()
            assert np.array_equal(step.labels, segmenter(picture))


@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_the_overlay_of_a_bound_frame_is_the_one_the_host_makes(
    engines: Engines, cuda: CudaDriver, interface: str
) -> None:
    with opened(engines(interface, "fp16"), cuda) as segmenter:
        first, second = pictures(4)[::3]
        driver, classes = segmenter.runner.driver, segmenter.output.classes
        step = segmenter.bind(first, overlay=0.5)
        image = driver.allocate(second.nbytes)
        resident = frames_of(segmenter).bind_device(image, size=second.shape[:2], overlay=0.5)
        for picture in (first, second):
            step.image[...] = picture
            step()
            wanted = overlay(picture, segmenter(picture), classes, opacity=0.5)
            assert np.array_equal(step.overlay, wanted)
            driver.copy_to_device(image, picture, resident.stream)
            resident.launch()
            back = np.zeros_like(picture)
            driver.copy_to_host(back, resident.overlay.memory, resident.stream)
            resident.wait()
            assert np.array_equal(back, wanted)


def test_a_step_of_the_engine_alone_copies_nothing_and_can_be_timed(engines: Engines, cuda: CudaDriver) -> None:
    with TensorRtRunner(engines("logits", "fp32").path, cuda=cuda.name) as runner:
        step = runner.bind_resident()
        start, end = (runner.driver.create_event(timing=True) for _ in range(2))
        runner.driver.record(start, step.stream)
        step.launch()
        runner.driver.record(end, step.stream)
        step.wait()
        assert runner.driver.elapsed_ms(start, end) > 0
        assert (step.graph is not None) == cuda.captures, step.why_no_graph


def test_several_threads_share_few_contexts_and_none_gets_anothers_result(engines: Engines, cuda: CudaDriver) -> None:
    with opened(engines("logits", "fp32"), cuda) as segmenter, ThreadPoolExecutor(6) as pool:
        given, images = tensors(segmenter, 6), pictures(6)
        alone = [segmenter.runner.infer(tensor) for tensor in given]
        labels = [segmenter(image) for image in images]
        for _ in range(5):
            for got, wanted in zip(pool.map(segmenter.runner.infer, given), alone):
                assert np.array_equal(got, wanted)
            for got, wanted in zip(pool.map(segmenter, images), labels):
                assert np.array_equal(got, wanted)


def test_each_thread_has_a_bound_step_of_its_own(engines: Engines) -> None:
    with rtseg.load(engines("logits", "fp16").path) as segmenter, ThreadPoolExecutor(4) as pool:

        def run(image: np.ndarray) -> np.ndarray:
            step = segmenter.bind(image)
            for _ in range(20):
                step()
            labels = step.labels.copy()
            step.close()
            return labels

        images = pictures(8)
        for image, labels in zip(images, pool.map(run, images)):
            assert np.array_equal(labels, segmenter(image))


def test_arrays_that_are_on_the_device_are_taken_where_they_lie(engines: Engines, cuda: CudaDriver) -> None:
    with opened(engines("logits", "fp32"), cuda) as segmenter:
        driver, picture = segmenter.runner.driver, pictures(2)[1]
        height, width, _ = picture.shape
        image, labels = driver.allocate(picture.nbytes), driver.allocate(height * width)
        step = frames_of(segmenter).bind_device(image, labels, size=(height, width))
        driver.copy_to_device(image, picture, step.stream)
        step.launch()
        back = np.zeros((height, width), np.uint8)
        driver.copy_to_host(back, labels, step.stream)
        step.wait()
        assert np.array_equal(back, segmenter(picture))


def test_tensors_of_torch_are_taken_where_they_lie(engines: Engines) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    with rtseg.load(engines("logits", "fp16").path) as segmenter:
        first, second = pictures(4)[::3]
        image = torch.from_numpy(first).cuda()
        labels = torch.empty(first.shape[:2], dtype=torch.uint8, device="cuda")
        step = frames_of(segmenter).bind_device(image, labels)
        with torch.cuda.stream(torch.cuda.ExternalStream(step.stream.handle)):
            for picture in (first, second):
                image.copy_(torch.from_numpy(picture))
                step.launch()
                assert np.array_equal(labels.cpu().numpy(), segmenter(picture))
        own = frames_of(segmenter).bind_device(image)
        own()
        assert torch.equal(torch.as_tensor(own.labels, device="cuda"), labels)


def test_a_closed_runner_runs_nothing_and_a_bound_step_lives_on(engines: Engines, stored: Arrays) -> None:
    runner = TensorRtRunner(engines("logits", "fp32").path)
    runner.open()
    runner.open()
    shape = runner.input.shape
    step = runner.bind(np.zeros(shape, np.float32))
    before = step.output.copy()
    runner.close()
    runner.close()
    with pytest.raises(RunnerError, match="not open"):
        runner.infer(np.zeros(shape, np.float32))
    step()
    assert np.array_equal(step.output, before)
    step.close()
    with pytest.raises(RunnerError, match="closed"):
        step()
    with runner:
        assert np.array_equal(runner.infer(np.zeros(shape, np.float32)), before)


def test_opening_and_closing_gives_the_memory_back(engines: Engines, capturing: CudaDriver) -> None:
    path, free = engines("logits", "fp32").path, []
    for _ in range(6):
        with rtseg.load(path) as segmenter:
            held = [segmenter.bind(np.zeros((1024, 2048, 3), np.uint8)) for _ in range(8)]
            segmenter(held[0].image)
            for step in held:
                step.close()
            del held
        free.append(capturing.memory()[0])
    # The first round may load what stays loaded; every further one would take 64 MiB more.
    assert free[-1] >= free[1] - (128 << 20), free


def test_an_input_or_an_image_that_does_not_fit_is_refused(engines: Engines) -> None:
    with rtseg.load(engines("logits", "fp32").path) as segmenter:
        with pytest.raises(RunnerError, match="does not fit"):
            segmenter.runner.infer(np.zeros((1, 3, 64, 64), np.float32))
        with pytest.raises(ImageError, match="not an image"):
            segmenter(np.zeros((64, 96), np.uint8))


# ----------------------------------------------------------------------------------------------- refused


def refused(path: Path, kind: type[RtsegError]) -> str:
    with pytest.raises(kind) as raised:
        rtseg.load(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def rewritten(path: Path, **details: Any) -> None:
    """Change the manifest's details and let it tell of the file as it now is."""
    manifest = Manifest.from_json(json.loads(manifest_path(path).read_text(encoding="utf-8")))
    write_manifest(path, replace(manifest, details=replace(manifest.details, **details)))


def test_an_altered_engine_is_refused_before_tensorrt_sees_it(engine_copy: Path) -> None:
    content = bytearray(engine_copy.read_bytes())
    content[len(content) // 2] ^= 1
    engine_copy.write_bytes(content)
    assert "does not match its manifest" in refused(engine_copy, ManifestError)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "replaced"])
def test_an_engine_that_tensorrt_refuses_is_refused_in_one_line(engine_copy: Path, damage: str) -> None:
    content = engine_copy.read_bytes()
    damaged = {"truncated": content[: len(content) // 2], "emptied": b"", "replaced": bytes(len(content))}
    engine_copy.write_bytes(damaged[damage])
    rewritten(engine_copy)
    assert "TensorRT refuses the engine" in refused(engine_copy, EngineError)


def test_an_engine_of_another_tensorrt_is_refused(engine_copy: Path) -> None:
    rewritten(engine_copy, release="7.2.1")
    message = refused(engine_copy, RunnerError)
    assert "another version of TensorRT; got 7.2.1 in its manifest" in message and "rtseg build" in message


def test_an_engine_for_another_gpu_is_refused(engine_copy: Path, capturing: CudaDriver) -> None:
    rewritten(engine_copy, compute_capabilities=("5.3",))
    message = refused(engine_copy, RunnerError)
    assert f"for another GPU; got {capturing.device.name}" in message and "rtseg build" in message


def test_an_engine_built_on_another_model_of_the_same_kind_runs_and_says_so(engine_copy: Path) -> None:
    rewritten(engine_copy, gpu="NVIDIA Elsewhere")
    with TensorRtRunner(engine_copy) as runner:
        assert any("NVIDIA Elsewhere" in note for note in runner.notes)
