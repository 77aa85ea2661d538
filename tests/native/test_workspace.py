"""Workspaces of the core: they give the results of the calls without one, in whatever threads and processes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rtseg.frame.native_library import CoreWindow
from tests.native.workspaces import (
    CHANNELS,
    labels_alone,
    labels_in,
    laid_out,
    logits_of,
    picture,
    pixels_of,
    tensor_alone,
    tensor_in,
    whole,
    workspace_of,
)

THREADS = [0, 1, 2, 3, 8]
SIZE = (210, 700)
"""Large enough for several threads."""
WINDOWS = {"stretched": whole(*SIZE), "letterboxed": CoreWindow(*SIZE, 3, 20, 200, 633)}


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
@pytest.mark.parametrize("resized", [True, False], ids=["resized", "of the window's size"])
def test_the_tensor_has_the_bits_of_the_call_without_a_workspace(
    library: ctypes.CDLL, window: CoreWindow, resized: bool, threads: int
) -> None:
    size = (333, 251) if resized else (window.height, window.width)
    with workspace_of(library, threads) as workspace:
        for seed in range(3):
            image = picture(*size, seed)
            found = tensor_in(library, workspace, pixels_of(image, "RGB"), window)
            np.testing.assert_array_equal(found, tensor_alone(library, image, window))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bottom_up", [False, True], ids=["top down", "bottom up"])
@pytest.mark.parametrize("size", [(333, 251), SIZE], ids=["resized", "of the tensor's size"])
@pytest.mark.parametrize("layout", CHANNELS)
def test_an_image_of_any_layout_has_the_bits_of_the_same_image_in_rgb(
    library: ctypes.CDLL, layout: str, size: tuple[int, int], bottom_up: bool, threads: int
) -> None:
    image = picture(*size)
    if layout == "grey":
        image = np.ascontiguousarray(image[..., :1].repeat(3, 2))
    view = laid_out(image, layout, bottom_up=bottom_up)
    with workspace_of(library, threads) as workspace:
        found = tensor_in(library, workspace, pixels_of(view, layout), whole(*SIZE))
    np.testing.assert_array_equal(found, tensor_alone(library, image, whole(*SIZE)))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("aligned", [False, True], ids=["half-pixel centres", "aligned corners"])
@pytest.mark.parametrize("window", [None, CoreWindow(100, 300, 3, 20, 80, 233)], ids=["whole", "window"])
@pytest.mark.parametrize("source", [(19, 27, 88), (19, *SIZE), (5, 400, 1100), (256, 3, 2), (2, 1, 1)], ids=str)
def test_labels_are_those_of_the_call_without_a_workspace(
    library: ctypes.CDLL, source: tuple[int, int, int], window: CoreWindow | None, aligned: bool, threads: int
) -> None:
    with workspace_of(library, threads) as workspace:
        for seed in range(2):
            logits = logits_of(*source, seed)
            found = labels_in(library, workspace, logits, np.empty(SIZE, np.uint8), window=window, aligned=aligned)
            np.testing.assert_array_equal(found, labels_alone(library, logits, SIZE, window=window, aligned=aligned))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("window", [None, CoreWindow(100, 300, 3, 20, 80, 233)], ids=["whole", "window"])
@pytest.mark.parametrize("source", [(1, 27, 88), (1, *SIZE), (1, 400, 1100)], ids=str)
def test_a_mask_is_that_of_the_call_without_a_workspace(
    library: ctypes.CDLL, source: tuple[int, int, int], window: CoreWindow | None, threads: int
) -> None:
    with workspace_of(library, threads) as workspace:
        for seed in range(2):
            logits, options = logits_of(*source, seed), {"window": window, "threshold": 0.25}
            found = labels_in(library, workspace, logits, np.empty(SIZE, np.uint8), **options)
            np.testing.assert_array_equal(found, labels_alone(library, logits, SIZE, **options))


def test_a_workspace_serves_all_ends_at_sizes_that_change_with_every_call(library: ctypes.CDLL) -> None:
    random = np.random.default_rng(4)
    with workspace_of(library, 3) as workspace:
        for seed in range(60):
            size, other = (tuple(map(int, random.integers(1, (260, 700)))) for _ in range(2))
            logits = logits_of(int(random.integers(2, 9)), *(-(-side // int(random.integers(1, 9))) for side in other))
            threshold = None if seed % 3 else 0.1
            logits = logits if threshold is None else logits[:1]
            found = labels_in(library, workspace, logits, np.empty(size, np.uint8), threshold=threshold)
            np.testing.assert_array_equal(found, labels_alone(library, logits, size, threshold=threshold))
            image, window = picture(*size, seed), CoreWindow()
            assert library.rtseg_letterbox_window(*size, *other, window) == 0
            found = tensor_in(library, workspace, pixels_of(image, "RGB"), window)
            np.testing.assert_array_equal(found, tensor_alone(library, image, window))


@pytest.mark.parametrize("threshold", [None, 0.25], ids=["classes", "threshold"])
@pytest.mark.parametrize("source", [(1, 27, 88), (1, *SIZE)], ids=["upsampled", "of the labels' size"])
@pytest.mark.parametrize("bottom_up", [False, True], ids=["top down", "bottom up"])
def test_rows_of_labels_may_lie_apart_and_what_is_between_them_stays(
    library: ctypes.CDLL, source: tuple[int, int, int], bottom_up: bool, threshold: float | None
) -> None:
    logits = logits_of(*source) if threshold is not None else logits_of(7, *source[1:])
    room = np.full((SIZE[0] + 2, SIZE[1] + 30), 77, np.uint8)
    view = room[1:-1, 10:-20][::-1] if bottom_up else room[1:-1, 10:-20]
    with workspace_of(library, 3) as workspace:
        labels_in(library, workspace, logits, view, threshold=threshold)
    np.testing.assert_array_equal(view, labels_alone(library, logits, SIZE, threshold=threshold))
    view[...] = 77
    assert (room == 77).all()


def test_workspaces_in_many_threads_do_not_disturb_each_other(library: ctypes.CDLL) -> None:
    logits = [logits_of(19, 27, 88, seed) for seed in range(6)]
    wanted = [labels_alone(library, each, SIZE) for each in logits]
    wrong: list[int] = []

    def work(mine: int) -> None:
        with workspace_of(library, 3) as workspace:
            for _ in range(10):
                found = labels_in(library, workspace, logits[mine], np.empty(SIZE, np.uint8))
                wrong.append(int((found != wanted[mine]).sum()))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(len(logits))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 60


FORK = """
import os, sys, threading
import numpy as np
from rtseg.frame.native_library import core
from tests.native.workspaces import *

library, logits, size = core(), logits_of(19, 27, 88), (210, 700)
wanted = labels_alone(library, logits, size)
with workspace_of(library, 3) as workspace:
    right = lambda: (labels_in(library, workspace, logits, np.empty(size, np.uint8)) == wanted).all()
    assert right()
    for generation in range(20):
        before = len(os.listdir("/proc/self/task"))
        child = os.fork()
        if child == 0:
            # this call, one without a workspace, one in a new one, a grandchild's, and the end of the workspace
            assert len(os.listdir("/proc/self/task")) == 1 and right() and right()
            assert len(os.listdir("/proc/self/task")) == before
            assert (labels_alone(library, logits, size) == wanted).all()
            with workspace_of(library, 2) as new:
                assert (labels_in(library, new, logits, np.empty(size, np.uint8)) == wanted).all()
            grandchild = os.fork()
            if grandchild == 0:
                library.rtseg_workspace_destroy(workspace)
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 7
            library.rtseg_workspace_destroy(workspace)
            os._exit(7)
        assert right()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert right()
print("done")
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc, which counts threads")
def test_after_a_fork_parent_and_child_both_go_on_with_the_workspace(library: ctypes.CDLL) -> None:
    command = [sys.executable, "-c", FORK]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc, which counts threads")
def test_threads_live_as_long_as_their_workspace_and_no_longer(library: ctypes.CDLL) -> None:
    logits, tasks = logits_of(19, 27, 88), Path("/proc/self/task")
    before = {path.name for path in tasks.iterdir()}
    with workspace_of(library, 3) as workspace:
        assert {path.name for path in tasks.iterdir()} <= before
        labels_in(library, workspace, logits, np.empty(SIZE, np.uint8))
        started = {path.name for path in tasks.iterdir()} - before
        assert len(started) == 2
        labels_in(library, workspace, logits, np.empty(SIZE, np.uint8))
        assert {path.name for path in tasks.iterdir()} - before == started
    deadline = time.monotonic() + 20  # the system lists a thread that was joined for a moment more
    while {path.name for path in tasks.iterdir()} & started:
        assert time.monotonic() < deadline, "a thread is still there"
