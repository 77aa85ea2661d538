"""How long a step on the GPU takes: on the GPU's own clock, on the host's, and with several in flight."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from rtseg.benchmarking.sampling import Samples, SamplingRule, judged, measure, measure_interleaved
from rtseg.benchmarking.statistics import NS_PER_MS
from rtseg.errors import CudaError
from rtseg.runners.cuda.protocol import CudaDriver, Graph, Stream

RULE = SamplingRule(min_seconds=0.5, max_seconds=2.0, min_samples=20, max_samples=1000, warmup_seconds=1.0)
"""1000 samples bound a median far below 1 %, and keep the ledger small."""

NS_PER_S = 1_000_000_000
US_PER_MS = 1000.0


class DeviceStep(Protocol):
    """A step that can also be launched without waiting: call it, or launch and wait."""

    stream: Stream
    graph: Graph | None
    why_no_graph: str

    def __call__(self) -> None:
        """Run once and wait."""

    def launch(self) -> None:
        """Put one run into the stream."""

    def wait(self) -> None:
        """Return when the last run is done."""


class GpuTimed:
    """Runs a step between two events and keeps what they say: GPU time, the wait for the host's launch left out.

    An idle GPU would meet the first event at once, and the time until the launch arrives would count: so a run that is
    not timed goes before, and keeps the GPU at work while the host launches the other.
    """

    def __init__(self, driver: CudaDriver, step: DeviceStep) -> None:
        self.samples_ns: list[int] = []
        self._driver, self._step = driver, step
        self._start, self._end = driver.create_event(timing=True), driver.create_event(timing=True)

    def __call__(self) -> None:
        """Run the step twice and keep the time of the second run."""
        driver, stream = self._driver, self._step.stream
        self._step.launch()
        driver.record(self._start, stream)
        self._step.launch()
        driver.record(self._end, stream)
        self._step.wait()
        self.samples_ns.append(round(driver.elapsed_ms(self._start, self._end) * NS_PER_MS))


class LaunchTimed:
    """Runs a step by launching its graph, and keeps how long the host was in that one call of CUDA."""

    def __init__(self, driver: CudaDriver, step: DeviceStep) -> None:
        if step.graph is None:
            raise CudaError("time the launch of a graph", name=f"none: {step.why_no_graph}", expected="a graph")
        self.samples_ns: list[int] = []
        self._driver, self._graph, self._stream = driver, step.graph, step.stream

    def __call__(self) -> None:
        """Run the step once."""
        started = time.perf_counter_ns()
        self._driver.launch_graph(self._graph, self._stream)
        self.samples_ns.append(time.perf_counter_ns() - started)
        self._driver.synchronize(self._stream)


class InFlight:
    """Several steps under way at once: a call waits for the oldest and launches it anew."""

    def __init__(self, steps: Sequence[DeviceStep]) -> None:
        self._steps = steps
        self._next = 0
        for step in steps:
            step.launch()

    def __call__(self) -> None:
        """Complete one run and begin another."""
        step = self._steps[self._next]
        step.wait()
        step.launch()
        self._next = (self._next + 1) % len(self._steps)

    def finish(self) -> None:
        """Wait for all that is under way."""
        for step in self._steps:
            step.wait()


def gpu_times(driver: CudaDriver, step: DeviceStep, rule: SamplingRule) -> dict[str, Any]:
    """Return the GPU times of one launch of the step, as plain values."""
    timed = GpuTimed(driver, step)
    samples = measure(timed, rule)
    return facts_of(_of_the_samples(timed.samples_ns, samples, rule))


def frame_times(driver: CudaDriver, step: DeviceStep, rule: SamplingRule) -> dict[str, Any]:
    """Return what a frame takes, host to host and on the GPU, measured in turns, and what of it is the host's alone.

    host_overhead_us is the median of the host's time, less the medians of the GPU's time and of the bare launch.
    """
    gpu, launch = GpuTimed(driver, step), LaunchTimed(driver, step)
    samples = measure_interleaved({"host": step, "gpu": gpu, "launch": launch}, rule)
    host = samples["host"]
    on_gpu = _of_the_samples(gpu.samples_ns, samples["gpu"], rule)
    launches = _of_the_samples(launch.samples_ns, samples["launch"], rule)
    return {
        "host": facts_of(host),
        "gpu": facts_of(on_gpu),
        "launch": facts_of(launches),
        "host_overhead_us": host_overhead_us(host, on_gpu, launches),
    }


def host_overhead_us(host: Samples, gpu: Samples, launch: Samples) -> float:
    """Return the microseconds of a frame that neither the GPU's work nor the bare launch explains."""
    return US_PER_MS * (host.summary.median_ms - gpu.summary.median_ms - launch.summary.median_ms)


def frames_per_second(steps: Sequence[DeviceStep], rule: SamplingRule) -> float:
    """Return the throughput with that many frames in flight: frames over seconds, not one over a latency."""
    flight = InFlight(steps)
    try:
        samples = measure(flight, rule)
    finally:
        flight.finish()
    return len(samples.samples_ns) * NS_PER_S / sum(samples.samples_ns)


def facts_of(samples: Samples) -> dict[str, Any]:
    """Return the figures and the raw samples as plain values."""
    return {**samples.summary.to_json(), **samples.to_json()}


def _of_the_samples(own_ns: Sequence[int], samples: Samples, rule: SamplingRule) -> Samples:
    """Return a step's own measurements, those of the warm-up left out."""
    return judged(own_ns[-len(samples.samples_ns) :], rule)
