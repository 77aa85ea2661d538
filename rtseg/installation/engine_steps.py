"""An engine of the probe graph by one product: built, loaded, compared with ONNX Runtime, timed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from rtseg.benchmarking.sampling import SamplingRule, measure
from rtseg.engines.building import build_engine
from rtseg.engines.engine_file import BuiltEngine
from rtseg.engines.platform import PURPOSE, capability_text
from rtseg.engines.rtx_capabilities import known_capabilities
from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError
from rtseg.frame.segmenter import Segmenter
from rtseg.installation.chain import NotTriedError, Step
from rtseg.installation.device_steps import COMPILED, DRIVER, DeviceTrial
from rtseg.installation.graph_steps import GRAPH, ONNXRUNTIME, GraphTrial
from rtseg.runners.loading import load
from rtseg.runners.tensorrt.module import PRODUCTS, RTX, TENSORRT, load_rtx

RULE = SamplingRule.within(0.4)
"""Half a second distinguishes a millisecond from ten; `rtseg bench` measures precisely."""

SETTINGS = BuildSettings(
    workspace_mib=256, optimization_level=1, timing_cache=False, tf32=False, external_tactics=False
)
"""For a build of seconds whose FP32 is exact, as its labels are compared."""


BUILT, LOADED, COMPARED, TIMED = "built", "loaded", "compared", "timed"


def step_name(runtime: str, what: str) -> str:
    """Return the name of a product's step; what is BUILT, LOADED, COMPARED or TIMED."""
    return f"{runtime} {what}"


class EngineTrial:
    """One product. engine and segmenter are set once their steps have worked; close frees what was loaded."""

    engine: BuiltEngine
    segmenter: Segmenter

    def __init__(self, runtime: str, folder: Path, device: DeviceTrial, graph: GraphTrial) -> None:
        self._runtime = runtime
        self._path = folder / f"{runtime}.engine"
        self._device = device
        self._graph = graph
        self._loaded = ExitStack()

    def steps(self) -> tuple[Step, ...]:
        """Return the steps, in order. TensorRT for RTX builds without a driver."""
        runtime, product = self._runtime, PRODUCTS[self._runtime]
        built, loaded = step_name(runtime, BUILT), step_name(runtime, LOADED)
        to_build = (runtime, DRIVER, GRAPH) if runtime == TENSORRT else (runtime, GRAPH)
        return (
            Step(built, self._build, needs=to_build, lacking=f"no engine of {product}"),
            Step(loaded, self._load, needs=(runtime, DRIVER, COMPILED, built), lacking=f"{product} loads no engine"),
            Step(step_name(runtime, COMPARED), self._compare, needs=(loaded, ONNXRUNTIME)),
            Step(step_name(runtime, TIMED), self._time, needs=(loaded,)),
        )

    def close(self) -> None:
        """Free what was loaded."""
        self._loaded.close()

    def _build(self) -> str:
        self.engine = build_engine(
            self._graph.path,
            self._path,
            runtime=self._runtime,
            capabilities=self._capabilities(),
            settings=SETTINGS,
            keep_anyway=True,  # the folder is temporary, and the verdict is reported below
        )
        verdict = self.engine.verdict
        if verdict.failures:
            raise EngineError(verdict.sentence(), hint="run rtseg build with your own file, then rtseg audit")
        proof = "proven fp32" if verdict.passed else f"fp32 is not proven: {verdict.sentence()}"
        return f"for {self.engine.manifest.device}, {self._path.stat().st_size / 1024:.0f} KiB, {proof}"

    def _load(self) -> str:
        capability = self._device.opened().device.compute_capability
        if self._runtime == RTX and not self._is_for(capability):
            raise NotTriedError(f"TensorRT for RTX does not run on compute capability {capability_text(capability)}")
        self.segmenter = self._loaded.enter_context(load(self.engine.path))
        return f"on {self.segmenter.runner.device}"

    def _compare(self) -> str:
        return self._graph.compare(self.segmenter)

    def _time(self) -> str:
        step = self.segmenter.bind(self._graph.picture)
        summary = measure(step, RULE).summary
        return f"{summary.median_ms:.3g} ms a frame from picture to labels, the median of {summary.count}"

    def _capabilities(self) -> tuple[str, ...]:
        """Return this machine's GPU in the form TensorRT for RTX takes; empty for a portable engine."""
        if self._runtime != RTX or self._device.driver is None:
            return ()
        capability = self._device.driver.device.compute_capability
        return (capability_text(capability),) if capability in known_capabilities(load_rtx(PURPOSE)) else ()

    def _is_for(self, capability: tuple[int, int]) -> bool:
        """Return whether the engine is compiled for that capability; a portable engine serves later ones too."""
        known = known_capabilities(load_rtx(PURPOSE))
        return capability in known or capability > max(known)
