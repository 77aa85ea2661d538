"""Build an engine, audit it, compare it with ONNX Runtime, time it. Needs a GPU, TensorRT and the CUDA bindings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from benchmarks.gpu_check.agreement import compare
from benchmarks.gpu_check.cases import Case, CaseFolder, Pixels
from benchmarks.gpu_check.timing import RULE, facts_of, frame_times, frames_per_second, gpu_times
from rtseg.artifacts.details import EngineDetails
from rtseg.benchmarking.environment import gpus
from rtseg.benchmarking.sampling import measure_interleaved
from rtseg.engines.building import build_ready
from rtseg.engines.engine_file import BuiltEngine
from rtseg.engines.lowering.versions import TYPED, form_for_release
from rtseg.engines.settings import BuildSettings
from rtseg.errors import RunnerError
from rtseg.frame.segmenter import Segmenter
from rtseg.runners.cuda.registry import open_cuda
from rtseg.runners.loading import load
from rtseg.runners.tensorrt.frame_steps import DeviceFrameStep
from rtseg.runners.tensorrt.release import tensorrt_release
from rtseg.runners.tensorrt.runner import TensorRtRunner
from rtseg.runners.tensorrt.steps import LaneStep

Report = Callable[[Mapping[str, Any]], None]
"""Told of each finding as soon as it is there, so that what comes too late costs only itself."""

SETTINGS = BuildSettings(workspace_mib=4096, avg_timing_iterations=4, tf32=False, external_tactics=False)
"""FP32 is FP32, as agreement is judged by it; and TensorRT's own kernels only, so that it makes no difference whether
cuDNN and cuBLAS lie beside it."""

IN_FLIGHT = (1, 2, 4)


def engine_task(folder: CaseFolder, case: Case, precision: str, scratch: Path, report: Report) -> None:
    """Build the engine of that precision, prove and time it. Raises what building, loading and running raise."""
    built = built_engine(folder, case, "logits", precision, scratch)
    report(build_facts(built))
    image, _ = folder.picture(case.pictures[0])
    free = open_cuda().memory()[0]
    with load(built.path) as segmenter:
        report({"agreement": compare(folder, case, precision, segmenter)})
        runner = _runner(segmenter)
        report({"gpus": gpus(), "engine": {"gpu": gpu_times(runner.driver, _in_place(segmenter, image), RULE)}})
        frames = [frame_step(segmenter, image)]
        report({"memory_bytes": free - runner.driver.memory()[0], "frame": frame_times(runner.driver, frames[0], RULE)})
        frames += [frame_step(segmenter, image) for _ in range(max(IN_FLIGHT) - 1)]
        report({"frames_per_second": {str(number): frames_per_second(frames[:number], RULE) for number in IN_FLIGHT}})


def labels_task(folder: CaseFolder, case: Case, scratch: Path, report: Report) -> None:
    """Time the FP16 engine's frame beside an engine with both ends in its graph, in turns. Raises as engine_task."""
    ours = built_engine(folder, case, "logits", "fp16", scratch)
    plain = built_engine(folder, case, "labels", "fp16", scratch)
    report(build_facts(plain))
    image, _ = folder.picture(case.pictures[0])
    with load(ours.path) as segmenter, load(plain.path) as other:
        report({"agreement": compare(folder, case, "fp16", other), "gpus": gpus()})
        steps = {"frame": frame_step(segmenter, image), "labels": frame_step(other, image)}
        samples = measure_interleaved(steps, RULE)
        report({"in_turns": {name: facts_of(taken) for name, taken in samples.items()}})


def scores_task(folder: CaseFolder, case: Case, scratch: Path, report: Report) -> None:
    """Time the boundary `network` in FP16: a normalised tensor to scores at full size. Raises as engine_task."""
    built = built_engine(folder, case, "scores", "fp16", scratch)
    report(build_facts(built))
    image, _ = folder.picture(case.pictures[0])
    with load(built.path) as segmenter:
        report({"agreement": compare(folder, case, "fp16", segmenter)})
        runner = _runner(segmenter)
        report({"gpus": gpus(), "network": {"gpu": gpu_times(runner.driver, _in_place(segmenter, image), RULE)}})


def built_engine(folder: CaseFolder, case: Case, interface: str, precision: str, scratch: Path) -> BuiltEngine:
    """Return an engine of the case, out of the cache where it was built before. Raises what build_ready raises.

    One that is not in the precision asked for is kept all the same: its verdict says so, and the rest is worth knowing.
    """
    typed = form_for_release(tensorrt_release("building an engine")) == TYPED
    graph = case.graph(interface, precision, typed=typed)
    path = scratch / f"{interface}-{precision}.engine"
    return build_ready(folder.ready(graph), folder.parent(graph), path, settings=SETTINGS, keep_anyway=True)


def build_facts(built: BuiltEngine) -> dict[str, Any]:
    """Return what is to be told of a build and of the proof of its precision."""
    details = built.manifest.details_as(EngineDetails).to_json()
    told = ("release", "typed", "builder_flags", "lowering", "lowered_sha256", "settings", "notes", "build_seconds")
    return {
        "build": {
            **{name: details[name] for name in told},
            "from_cache": built.from_cache,
            "engine_bytes": built.path.stat().st_size,
            "engine_sha256": built.manifest.sha256,
        },
        "precision": built.proof.to_json(),
    }


def frame_step(segmenter: Segmenter, image: Pixels) -> DeviceFrameStep:
    """Return the whole frame of an engine on the GPU. Raises RunnerError where the host would do a part of it."""
    step = segmenter.bind(image)
    if not isinstance(step, DeviceFrameStep):
        raise RunnerError("the frame is not the GPU's alone", got=type(step).__name__, expected="DeviceFrameStep")
    return step


def _in_place(segmenter: Segmenter, image: Pixels) -> LaneStep:
    """Return the engine alone as a step, its input on the GPU being what the image becomes."""
    return _runner(segmenter).bind_resident(segmenter.tensor(image))


def _runner(segmenter: Segmenter) -> TensorRtRunner:
    assert isinstance(segmenter.runner, TensorRtRunner)  # which an engine's is
    return segmenter.runner
