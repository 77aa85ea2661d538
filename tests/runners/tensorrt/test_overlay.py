"""The overlay of a frame on an emulated GPU: the kernel's own source gives what the CPU's overlay is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtseg.errors import ImageError, SpecError
from rtseg.frame.palette import colour_table, overlay
from rtseg.images.files import write_image
from rtseg.labelling import label_files
from rtseg.runners.loading import load
from rtseg.runners.tensorrt.frames import DeviceFrames
from rtseg.runners.tensorrt.resident_steps import DeviceArray
from tests.emulated_gpu.graphs import CLASS_SPEC, SIZE
from tests.emulated_gpu.machine import EmulatedMachine, scene

INTERFACES = ("logits", "scores", "labels")
OTHER = (50, 70)
"""A size that is neither the graphs' nor a multiple of anything."""


def frames_of(path: Path) -> DeviceFrames:
    """Return an engine's frames, whose runner stays open."""
    segmenter = load(path)
    frames = segmenter.runner.frames(segmenter.image, segmenter.output)
    assert isinstance(frames, DeviceFrames)
    return frames


def read(machine: EmulatedMachine, array: Any) -> np.ndarray:
    """Return what an array on the device holds, by what it says of itself."""
    told = array.__cuda_array_interface__
    assert (told["typestr"], told["version"], told.get("strides")) == ("|u1", 3, None)
    pointer, read_only = told["data"]
    assert not read_only
    return machine.driver.bytes_at(pointer, int(np.prod(told["shape"]))).reshape(told["shape"]).copy()


def uploaded(machine: EmulatedMachine, image: np.ndarray) -> DeviceArray:
    memory = machine.driver.allocate(image.nbytes)
    machine.driver.bytes_at(memory.handle, image.nbytes)[...] = image.ravel()
    return DeviceArray(memory, image.shape)


@pytest.mark.parametrize("captures", [True, False], ids=["graphs", "no graphs"])
@pytest.mark.parametrize("interface", INTERFACES)
def test_the_overlay_is_the_one_made_on_the_cpu(make_machine: Any, interface: str, captures: bool) -> None:
    machine = make_machine(captures=captures)
    graph = machine.graph(interface)
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        for size in (SIZE, OTHER, (130, 200), (1, 1)):
            image = scene(*size)
            for opacity in (0, 77 / 256, 0.5, 1):
                step = engine.bind(image, overlay=opacity)
                wanted = overlay(image, reference(image), CLASS_SPEC, opacity=opacity)
                np.testing.assert_array_equal(step.overlay, wanted)
                assert step.overlay is not None and step.overlay.dtype == np.uint8
        assert (image == step.image).all()


def test_at_other_opacities_only_what_lies_between_two_values_may_go_to_the_other(machine: EmulatedMachine) -> None:
    graph, image = machine.graph(), scene(*OTHER)
    with load(machine.engine(graph)) as engine:
        for opacity in (0.1, 0.3, 1 / 3):
            step = engine.bind(image, overlay=opacity)
            exact = image * (1 - opacity) + colour_table(CLASS_SPEC)[step.labels] * opacity
            assert np.abs(step.overlay - exact).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("eager", [False, True], ids=["late", "at once"])
@pytest.mark.parametrize("size", [SIZE, OTHER])
def test_the_overlay_follows_the_image_and_keeps_its_buffer(
    make_machine: Any, interface: str, eager: bool, size: tuple[int, int]
) -> None:
    machine = make_machine(eager=eager)
    graph = machine.graph(interface)
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        step: Any = engine.bind(scene(*size), overlay=0.5)
        made = step.overlay
        for seed in (1, 2):
            image = step.image[...] = scene(*size, seed)
            step.launch()
            step.wait()
            np.testing.assert_array_equal(step.labels, reference(image))
            np.testing.assert_array_equal(made, overlay(image, step.labels, CLASS_SPEC))
        assert step.overlay is made


@pytest.mark.parametrize("interface", INTERFACES)
def test_labels_and_overlay_of_a_call_are_copies_of_what_one_kept_step_gives(
    machine: EmulatedMachine, interface: str
) -> None:
    graph, counts = machine.graph(interface), machine.driver.counts
    with load(machine.engine(graph)) as engine, load(graph, threads=1) as reference:
        engine.with_overlay(scene(*SIZE))
        captured, made = counts["capture"], []
        for seed in range(3):
            before = counts.copy()
            made.append(engine.with_overlay(scene(*SIZE, seed)))
            spent = counts - before
            assert (spent["launch graph"], spent["synchronize"], spent["pinned"]) == (1, 1, 0)
        assert counts["capture"] == captured
        for seed, (labels, laid) in enumerate(made):
            wanted_labels, wanted = reference.with_overlay(scene(*SIZE, seed))
            np.testing.assert_array_equal(labels, wanted_labels)
            np.testing.assert_array_equal(laid, wanted)
        image = scene(*OTHER)
        np.testing.assert_array_equal(engine.with_overlay(image, 0.25)[1], reference.with_overlay(image, 0.25)[1])


@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_the_overlay_is_rgb_whatever_the_graph_takes(machine: EmulatedMachine, interface: str) -> None:
    with load(machine.engine(machine.graph(interface, colour_order="BGR"))) as engine:
        step = engine.bind(scene(*SIZE), overlay=0.25)
        np.testing.assert_array_equal(step.overlay, overlay(step.image, step.labels, CLASS_SPEC, opacity=0.25))


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_frame_with_an_overlay_is_one_graph_and_one_wait(machine: EmulatedMachine, interface: str) -> None:
    with load(machine.engine(machine.graph(interface))) as engine:
        step = engine.bind(scene(*SIZE), overlay=0.5)
        before = machine.driver.counts.copy()
        step()
        assert machine.driver.counts - before == Counter({"launch graph": 1, "synchronize": 1})
        assert before["capture"] == 1


def test_without_an_overlay_nothing_is_made_for_one(machine: EmulatedMachine) -> None:
    height, width = OTHER
    with load(machine.engine(machine.graph())) as engine:
        used = [machine.driver.used]
        counts = [machine.driver.counts.copy()]
        steps = []
        for options in ({}, {"overlay": 0.5}):
            steps.append(engine.bind(scene(*OTHER), **options))
            used.append(machine.driver.used)
            counts.append(machine.driver.counts.copy())
        assert steps[0].overlay is None
        plain, laid = np.diff(used)
        assert laid - plain == height * width * 3 + 256 * 3
        before, after, later = counts
        assert (after["launch rtseg_overlay"], later["launch rtseg_overlay"]) == (0, 2)  # once plainly, once captured
        assert (after["pinned"] - before["pinned"], later["pinned"] - after["pinned"]) == (2, 3)


def test_a_graph_with_both_ends_in_itself_needs_the_kernels_for_an_overlay_of_its_size_only(
    machine: EmulatedMachine,
) -> None:
    with load(machine.engine(machine.graph("labels"))) as engine:
        engine.bind(scene(*SIZE))
        engine.bind(scene(*OTHER), overlay=0.5)  # which the host makes
        assert machine.driver.counts["compile"] == 0
        for _ in range(2):
            engine.bind(scene(*SIZE), overlay=0.5)
        assert machine.driver.counts["compile"] == 1


@pytest.mark.parametrize(("interface", "size"), [("logits", OTHER), ("scores", OTHER), ("labels", SIZE)])
def test_an_overlay_of_arrays_on_the_device_stays_there(
    machine: EmulatedMachine, interface: str, size: tuple[int, int]
) -> None:
    graph, driver = machine.graph(interface), machine.driver
    frames = frames_of(machine.engine(graph))
    given = uploaded(machine, scene(*size))
    step = frames.bind_device(given, overlay=0.75)
    assert step.overlay is not None and step.overlay.shape == (*size, 3)
    with load(graph, threads=1) as reference:
        for seed in (1, 2):
            image = scene(*size, seed)
            driver.bytes_at(given.memory.handle, image.nbytes)[...] = image.ravel()
            counts = driver.counts.copy()
            step()
            assert driver.counts - counts == Counter({"launch graph": 1, "synchronize": 1})
            np.testing.assert_array_equal(read(machine, step.labels), reference(image))
            wanted = overlay(image, reference(image), CLASS_SPEC, opacity=0.75)
            np.testing.assert_array_equal(read(machine, step.overlay), wanted)
    assert frames.bind_device(given).overlay is None


def test_an_overlay_on_the_device_can_be_read_when_its_step_is_closed(machine: EmulatedMachine) -> None:
    step = frames_of(machine.engine(machine.graph())).bind_device(uploaded(machine, scene(*OTHER)), overlay=0.5)
    made = step.overlay
    before = read(machine, made)
    step.close()
    np.testing.assert_array_equal(read(machine, made), before)


@pytest.mark.parametrize("opacity", [-0.01, 1.5, float("nan")])
@pytest.mark.parametrize("interface", ["logits", "labels"])
def test_an_opacity_out_of_range_is_refused_before_anything_is_made(
    machine: EmulatedMachine, interface: str, opacity: float
) -> None:
    frames, on_device = frames_of(machine.engine(machine.graph(interface))), uploaded(machine, scene(*SIZE))
    counts, used = machine.driver.counts.copy(), machine.driver.used
    with pytest.raises(SpecError, match=r"the opacity is out of range; got .*; expected 0 to 1"):
        frames.with_overlay(scene(*OTHER), opacity)
    for call in (frames.bind, frames.bind_device):
        for image in (scene(*OTHER), scene(*SIZE)) if call == frames.bind else (on_device,):
            with pytest.raises(SpecError, match=r"the opacity is out of range; got .*; expected 0 to 1"):
                call(image, overlay=opacity)
    with pytest.raises(ImageError):
        frames.bind(np.zeros((4, 4), np.uint8), overlay=0.5)
    assert (machine.driver.counts, machine.driver.used) == (counts, used)


# The command line


@pytest.mark.parametrize(("interface", "size"), [("logits", OTHER), ("labels", SIZE)])
def test_run_writes_the_overlay_that_the_device_makes(
    machine: EmulatedMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, interface: str, size: tuple[int, int]
) -> None:
    pictures = [tmp_path / "pictures" / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(pictures):
        write_image(path, scene(*size, seed))
    graph = machine.graph(interface)
    with load(graph, threads=1) as reference:
        label_files(reference, pictures, tmp_path / "cpu")
    with load(machine.engine(graph)) as engine:
        monkeypatch.setattr("rtseg.frame.host_frames.laid_over", None)  # which the host's frames would call
        before = machine.driver.counts.copy()
        label_files(engine, pictures, tmp_path / "gpu")
        made = machine.driver.counts - before
    # The kernel runs once plainly and is captured once, for all pictures of that size; each is one launch of the graph.
    assert (made["launch rtseg_overlay"], made["capture"], made["launch graph"]) == (2, 1, 3)
    names = sorted(path.name for path in (tmp_path / "cpu").iterdir())
    assert names == [f"{seed}_{kind}.png" for seed in range(3) for kind in ("labels", "overlay")]
    for name in names:
        assert (tmp_path / "gpu" / name).read_bytes() == (tmp_path / "cpu" / name).read_bytes()
