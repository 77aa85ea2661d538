"""The run itself: a real network, real pictures, interrupts at any moment."""

from __future__ import annotations

import gc
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import read_manifest, write_manifest
from rtseg.calibration.histograms import HistogramSet
from rtseg.calibration.measurement import measured_ranges, require_fp32
from rtseg.calibration.selection import Selection, select
from rtseg.calibration.table import CalibrationTable
from rtseg.calibration.thresholds import Method, threshold
from rtseg.cli import main
from rtseg.datasets.pictures import Picture
from rtseg.errors import CalibrationError
from rtseg.frame.preprocess import tensor_from_image
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView
from rtseg.specs import ImageSpec
from tests.observers import Interrupting, Recorder

MINMAX, PERCENTILE = Method("minmax"), Method("percentile", 99.9)


class Shuffled:
    """The pictures of a source in another order."""

    def __init__(self, source, order: list[int]) -> None:
        self.source, self.order = source, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Picture:
        return self.source[self.order[index]]


def content(table: CalibrationTable, folder: Path) -> bytes:
    """Return the bytes the table is written as."""
    table.write(folder / "table.json")
    return (folder / "table.json").read_bytes()


def all_values(exported: Path, pictures: list[Picture]) -> dict[str, np.ndarray]:
    """Every activation of all pictures, from one plain session."""
    view = GraphView(read_canonical(exported))
    names = [name for name in view.activations() if name != view.input]
    model = onnx.load(exported)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, view.element_type(n), view.shape(n)) for n in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    image = read_manifest(exported, kind="onnx").image
    found: dict[str, list[np.ndarray]] = {name: [] for name in [view.input, *names]}
    for picture in pictures:
        tensor = tensor_from_image(picture.image, image)[None]
        found[view.input].append(tensor)
        for name, value in zip(names, session.run(names, {view.input: tensor})):
            found[name].append(value)
    return {name: np.concatenate([value.ravel() for value in values]) for name, values in found.items()}


def test_the_table_has_the_range_of_every_activation_on_all_pictures(
    exported: Path, selection: Selection, pictures
) -> None:
    table = measured_ranges(exported, selection, PERCENTILE, threads=1)
    values = all_values(exported, [pictures[index] for index in range(12)])
    assert list(table.ranges) == list(values)
    for name, expected in values.items():
        histograms = HistogramSet([name])
        histograms.add(name, expected)
        found = table.ranges[name]
        assert (found.minimum, found.maximum) == (expected.min(), expected.max()), name
        assert found.threshold == threshold(histograms.histogram(name), PERCENTILE), name


def test_the_table_says_what_it_was_made_from(exported: Path, selection: Selection, tmp_path: Path) -> None:
    measured_ranges(exported, selection, PERCENTILE, threads=1).write(tmp_path / "table.json")
    table = CalibrationTable.read(tmp_path / "table.json")
    manifest = read_manifest(exported, kind="onnx")
    assert (table.network, table.onnx_sha256, table.image) == (manifest.network, manifest.sha256, manifest.image)
    assert (table.method, table.percentile, table.data, table.split) == ("percentile", 99.9, "made", "train")
    assert table.pictures == selection.digests
    assert [stage["pictures"] for stage in table.convergence["stages"]] == [3, 6, 12]
    table.require_graph(manifest, structure_sha256(GraphView(read_canonical(exported))), "the file")


def test_neither_the_order_of_the_pictures_nor_the_budget_changes_a_byte(
    exported: Path, selection: Selection, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = content(measured_ranges(exported, selection, PERCENTILE, threads=1), tmp_path)
    for seed, budget in ((1, 100_000), (2, 1_000_000)):
        monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / f"cache{seed}"))
        order = random.Random(seed).sample(range(12), 12)
        shuffled = select(Shuffled(pictures, order), "made", "train", ImageSpec(64, 64), count=12)
        assert (
            content(measured_ranges(exported, shuffled, PERCENTILE, threads=1, budget_bytes=budget), tmp_path)
            == expected
        )


def test_another_method_takes_no_second_pass(exported: Path, selection: Selection, pictures) -> None:
    measured_ranges(exported, selection, PERCENTILE, threads=1)
    pictures.read, recorder = 0, Recorder()
    table = measured_ranges(exported, selection, MINMAX, threads=1, observer=recorder)
    assert pictures.read == 0
    assert recorder.notes == ["all 12 pictures were counted by an earlier run: nothing is computed again"]
    assert all(found.threshold == max(-found.minimum, found.maximum) for found in table.ranges.values())


def test_a_run_that_goes_on_gives_the_table_of_one_that_was_never_stopped(
    exported: Path, selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = content(measured_ranges(exported, selection, PERCENTILE, threads=1), tmp_path)
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "another"))

    impatient, patient = Interrupting(5), Recorder()
    with pytest.raises(KeyboardInterrupt):
        measured_ranges(exported, selection, PERCENTILE, threads=1, observer=impatient)
    assert impatient.notes == ["5 of 12 pictures are counted; the same command goes on from there"]
    assert content(measured_ranges(exported, selection, PERCENTILE, threads=1, observer=patient), tmp_path) == expected
    assert (patient.notes, patient.steps[0]) == (
        ["going on after 5 of 12 pictures, counted by an earlier run"],
        (6, 12),
    )


@pytest.fixture
def alarms() -> Iterator[None]:
    """SIGALRM interrupts as Ctrl-C does. Callbacks of the garbage collector would swallow it, so there are none."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()
    yield
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarms")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupts_at_any_moment_change_nothing(
    affnet_file: Path, selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = content(measured_ranges(affnet_file, selection, PERCENTILE, threads=1), tmp_path)
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "another"))
    moments, interrupts = random.Random(0), 0
    for attempt in range(60):
        try:
            # Longer with each attempt, so that a slow machine gets to its end too and a fast one is interrupted.
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.01, 0.05) * 1.2**attempt)
            table = measured_ranges(affnet_file, selection, PERCENTILE, threads=1)
            signal.setitimer(signal.ITIMER_REAL, 0)
            break
        except KeyboardInterrupt:
            interrupts += 1
    assert interrupts >= 1
    assert content(table, tmp_path) == expected


def test_a_damaged_state_is_left_aside(exported: Path, selection: Selection, tmp_path: Path, cache: Path) -> None:
    expected = content(measured_ranges(exported, selection, PERCENTILE, threads=1), tmp_path)
    (state,) = (cache / "calibrations").iterdir()
    state.write_bytes(state.read_bytes()[:-100])
    recorder = Recorder()
    assert content(measured_ranges(exported, selection, PERCENTILE, threads=1, observer=recorder), tmp_path) == expected
    assert recorder.steps[0] == (1, 12)


def test_a_cache_that_cannot_be_written_costs_the_state_and_not_the_run(
    exported: Path, selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "file"))
    recorder = Recorder()
    assert measured_ranges(exported, selection, PERCENTILE, threads=1, observer=recorder).ranges
    assert [text.startswith("the state cannot be saved") for text in recorder.warnings] == [True]


def damaged_network(exported: Path, path: Path, value: float) -> Path:
    """Write the exported network with one weight of its last convolution replaced."""
    model = onnx.load(exported)
    weights = {entry.name: entry for entry in model.graph.initializer}
    name = next(node.input[1] for node in reversed(model.graph.node) if node.op_type == "Conv")
    array = numpy_helper.to_array(weights[name]).copy()
    array.flat[0] = value
    weights[name].CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    write_manifest(path, read_manifest(exported, kind="onnx"))
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_tensor_and_picture(
    exported: Path, selection: Selection, tmp_path: Path, value: float
) -> None:
    path = damaged_network(exported, tmp_path / "damaged.onnx", value)
    last = GraphView(onnx.load(path)).activations()[-1]
    first = selection.chosen[0].digest.name
    with pytest.raises(CalibrationError, match=rf"tensor {last} is not finite on the picture {first}"):
        measured_ranges(path, selection, PERCENTILE, threads=1)


def test_a_labels_graph_takes_bytes_and_has_its_float_tensors_observed(
    tmp_path: Path, selection: Selection, pictures
) -> None:
    path = tmp_path / "labels.onnx"
    command = ["export", "affnet", "--classes", "camvid", "--resolution", "64x64", "--images", "0"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--interface", "labels", "-o", str(path)])
    assert ended.value.code == 0
    table = measured_ranges(path, selection, MINMAX, threads=1)
    view = GraphView(onnx.load(path))
    assert view.input not in table.ranges
    cast = next(iter(table.ranges.values()))
    assert cast.maximum == max(pictures[index].image.max() for index in range(12))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_file_of_another_precision_is_refused(export_copy: Path, precision: str) -> None:
    write_manifest(export_copy, replace(read_manifest(export_copy, kind="onnx"), precision=precision))
    with pytest.raises(CalibrationError, match=rf"is not in FP32; got {precision}"):
        require_fp32(Artifact.open(export_copy))


def test_a_graph_changed_in_its_weights_alone_has_a_state_of_its_own(
    exported: Path, selection: Selection, tmp_path: Path
) -> None:
    measured_ranges(exported, selection, MINMAX, threads=1)
    other = damaged_network(exported, tmp_path / "other.onnx", 1.0)
    recorder = Recorder()
    measured_ranges(other, selection, MINMAX, threads=1, observer=recorder)
    assert recorder.steps[0] == (1, 12)
    shutil.rmtree(tmp_path / "cache")
