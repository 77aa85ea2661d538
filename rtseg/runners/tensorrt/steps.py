"""Steps on fixed buffers, each captured once as a CUDA graph and launched as a whole."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Callable

from rtseg.errors import RunnerError
from rtseg.frame.protocol import Array, Step
from rtseg.runners.cuda.protocol import CudaDriver, Graph, Stream
from rtseg.runners.tensorrt.lanes import Lane

_LOGGER = logging.getLogger(__name__)

Work = Callable[[], object]
"""A function that puts work into a lane's stream."""


def in_order(*calls: Work) -> Work:
    """Return one function that calls several in order."""

    def work() -> None:
        for call in calls:
            call()

    return work


class OpeningThread(threading.local):
    """Whether the driver's context stays current in this thread: true for the thread that opened the runner."""

    is_this = False


class LaneStep:
    """The same work, repeated in one lane. It stays usable when its runner is closed. One thread at a time.

    A call does the work once and returns when it is done. launch() puts the work into `stream` and returns at once;
    wait() returns when the stream is done: do not touch a buffer in between. graph is the captured work. It is None
    with PyCUDA, or if TensorRT cannot be captured, which logs a warning; then each launch repeats the calls, and
    why_no_graph gives the reason.
    """

    def __init__(self, lane: Lane, work: Work, opening: OpeningThread) -> None:
        """Do the work once, because TensorRT and CUDA load kernels lazily, and then capture it."""
        driver = lane.driver
        self.lane = lane
        self.stream: Stream = lane.stream
        self._opening = opening
        self._active = driver.active
        work()
        driver.synchronize(lane.stream)
        self.graph: Graph | None
        self.graph, self.why_no_graph = _captured(driver, lane, work)
        self._enqueue: Work = work
        self._work: Work = work  # keeps alive the memory and kernels; a graph holds only their addresses
        if self.graph is not None:
            self._enqueue = functools.partial(driver.launch_graph, self.graph, lane.stream)
        self._finish: Work = functools.partial(driver.synchronize, lane.stream)

    def __call__(self) -> None:
        """Do the work once. Raises RunnerError."""
        if self._opening.is_this:
            self._enqueue()
            self._finish()
            return
        with self._active():
            self._enqueue()
            self._finish()

    def launch(self) -> None:
        """Put the work into the stream and return at once."""
        if self._opening.is_this:
            self._enqueue()
            return
        with self._active():
            self._enqueue()

    def wait(self) -> None:
        """Wait until everything in the stream is done."""
        if self._opening.is_this:
            self._finish()
            return
        with self._active():
            self._finish()

    def close(self) -> None:
        """Free the context and the buffers on the GPU now, not with the last reference. The step cannot run again."""
        self._enqueue = self._finish = _refuse
        with self._active():
            if self.graph is not None:
                self.graph.close()
            self.lane.close()
            self._work = _refuse


class EngineStep(LaneStep, Step):
    """The engine between two arrays in page-locked memory: upload, run, download."""

    def __init__(self, lane: Lane, opening: OpeningThread, array: Array) -> None:
        """Bind a copy of the array."""
        driver, source, result = lane.driver, lane.source, lane.result
        given = driver.pinned(source.stored_shape, source.spec.dtype)
        made = driver.pinned(result.stored_shape, result.spec.dtype)
        self.input, self.output = source.view(given), result.view(made)
        self.input[...] = array

        def work() -> None:
            driver.copy_to_device(lane.input, given, lane.stream)
            lane.execute()
            driver.copy_to_host(made, lane.output, lane.stream)

        super().__init__(lane, work, opening)


def _refuse() -> None:
    raise RunnerError("the step was closed", hint="bind another one")


def _captured(driver: CudaDriver, lane: Lane, work: Work) -> tuple[Graph | None, str]:
    """Return the work as a graph, or None and the reason: no graphs, or TensorRT cannot be captured, as with loops."""
    if not driver.captures:
        return None, f"{driver.name} captures no graphs"
    stream = lane.stream
    if why := lane.why_not_captured():
        _LOGGER.warning("the engine runs without a CUDA graph, slower: %s", why)
        return None, why
    try:
        return driver.capture(stream, work), ""
    except RunnerError as error:  # CudaError is one
        work()  # raises the real error, if there is one
        driver.synchronize(stream)
        _LOGGER.warning("the engine runs without a CUDA graph, slower: %s", error)
        return None, str(error)
