"""Workspaces that the host's ends lend to their calls: how many there are, and when they go."""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import gc
import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rtseg.errors import SpecError
from rtseg.frame import native_library
from rtseg.frame.host_ends import HostEnds
from rtseg.frame.preprocess import resized_image, tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.frame.window import window_of
from rtseg.frame.workspaces import Workspaces, require_threads
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

SPECS = [ImageSpec(210, 700), ImageSpec(210, 700, "BGR"), ImageSpec(210, 700, fit="letterbox", padding=30)]
SIZES = [(210, 700), (301, 400), (1, 1)]
CLASSES = ClassSpec("", ("one", "two", "three"), ((0, 0, 0), (128, 128, 128), (255, 255, 255)))
TASKS = Path("/proc/self/task")

needs_proc = pytest.mark.skipif(not TASKS.is_dir(), reason="no /proc, which counts threads")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    monkeypatch.delenv(native_library.CHOICE, raising=False)
    found = native_library.core()
    if found is None:
        pytest.skip(native_library.why_none())
    gc.collect()  # no workspace of another test ends while threads are counted
    yield found


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def logits(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((channels, 27, 88)).astype(np.float32)


def ends_of(threads: int = 3) -> HostEnds:
    return HostEnds(SPECS[0], OutputSpec(CLASSES, "logits", 8, align_corners=False), threads)


def labelled(ends: HostEnds) -> np.ndarray:
    return ends.labels(logits()[None], height=210, width=700)


def tasks() -> set[str]:
    return {path.name for path in TASKS.iterdir()}


def require_gone(started: set[str]) -> None:
    """Wait until the system lists these threads no more, which is a moment after they were joined."""
    deadline = time.monotonic() + 20
    while tasks() & started:
        assert time.monotonic() < deadline, "a thread is still there"


# Results


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", SPECS, ids=["RGB", "BGR", "letterbox"])
def test_an_image_is_prepared_in_a_workspace_as_without_one(core: str, spec: ImageSpec, size: tuple[int, int]) -> None:
    workspaces = Workspaces(3)
    for function in (tensor_from_image, resized_image):
        found = function(picture(*size), spec, workspaces=workspaces)
        np.testing.assert_array_equal(found, function(picture(*size), spec))


@pytest.mark.parametrize("threshold", [None, 0.3], ids=["classes", "threshold"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", SPECS[1:], ids=["whole", "letterbox"])
def test_labels_are_made_in_a_workspace_as_without_one(
    core: str, spec: ImageSpec, size: tuple[int, int], threshold: float | None
) -> None:
    height, width = size
    options = {"align_corners": False, "window": window_of(spec, height, width), "threshold": threshold}
    source, workspaces = logits(3 if threshold is None else 1), Workspaces(3)
    found = labels_from_logits(source, height=height, width=width, workspaces=workspaces, **options)
    np.testing.assert_array_equal(found, labels_from_logits(source, height=height, width=width, **options))


# How many, and how long


def test_calls_one_after_another_share_a_workspace(library: ctypes.CDLL) -> None:
    workspaces = Workspaces(1)
    with workspaces.lent(library) as first:
        pass
    with workspaces.lent(library) as second:
        assert second == first


def test_calls_at_once_have_a_workspace_each(library: ctypes.CDLL) -> None:
    workspaces = Workspaces(1)
    with workspaces.lent(library) as first, workspaces.lent(library) as second:
        assert first != second


def test_a_call_that_fails_gives_its_workspace_back(library: ctypes.CDLL) -> None:
    workspaces = Workspaces(1)
    with pytest.raises(RuntimeError), workspaces.lent(library) as first:
        raise RuntimeError
    with workspaces.lent(library) as second:
        assert second == first


@needs_proc
def test_the_threads_of_the_ends_stay_from_call_to_call_and_end_with_them(library: ctypes.CDLL) -> None:
    before, ends = tasks(), ends_of(threads=3)
    wanted = labelled(ends)
    started = tasks() - before
    assert len(started) == 2
    for _ in range(3):
        ends.graph_input(picture(301, 400))
        np.testing.assert_array_equal(labelled(ends), wanted)
    assert tasks() - before == started
    del ends
    require_gone(started)


@needs_proc
def test_freed_workspaces_end_their_threads_and_the_ends_go_on_with_new_ones(library: ctypes.CDLL) -> None:
    before, ends = tasks(), ends_of()
    wanted = labelled(ends)
    started = tasks() - before
    assert len(started) == 2
    ends.workspaces.free()
    require_gone(started)
    np.testing.assert_array_equal(labelled(ends), wanted)


def test_threads_that_use_the_same_ends_at_once_get_the_same_labels(core: str) -> None:
    ends, right = ends_of(), []
    wanted = labelled(ends)

    def work() -> None:
        right.extend(bool((labelled(ends) == wanted).all()) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 120


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda ends: pickle.loads(pickle.dumps(ends)), dataclasses.replace],
    ids=["deepcopy", "pickle", "replace"],
)
def test_a_copy_of_the_ends_is_equal_and_has_workspaces_of_its_own(core: str, copied) -> None:
    ends = ends_of()
    wanted = labelled(ends)
    copy_of_ends = copied(ends)
    assert copy_of_ends == ends and hash(copy_of_ends) == hash(ends)
    assert copy_of_ends.workspaces is not ends.workspaces
    assert copy_of_ends.workspaces.threads == 3
    np.testing.assert_array_equal(labelled(copy_of_ends), wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_process_goes_on_with_the_ends_of_its_parent(core: str) -> None:
    ends = ends_of()
    wanted = labelled(ends)
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = all((labelled(ends) == wanted).all() for _ in range(3))
            ends.workspaces.free()
        finally:
            os._exit(7 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    np.testing.assert_array_equal(labelled(ends), wanted)


@pytest.mark.parametrize("threads", [-1, 257, 2**32, 1.5, "2", True, None])
def test_a_number_of_threads_that_cannot_be_is_refused(threads: object) -> None:
    with pytest.raises(SpecError, match="threads is out of range"):
        require_threads(threads)  # type: ignore[arg-type]
