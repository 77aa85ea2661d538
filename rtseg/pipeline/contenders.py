"""Choose the contenders of a benchmark: runners, each in a precision, as requested or as available here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtseg.errors import CudaError, MissingDependencyError, RtsegError, UnknownNameError
from rtseg.observer import Observer
from rtseg.runners.registry import DEFAULT_RUNNERS, runner_names
from rtseg.runners.tensorrt.module import RTX
from rtseg.specs import PRECISIONS

GPU_PROVIDER = "onnxruntime-cuda"


@dataclass(frozen=True)
class Contender:
    """A runner and the precision of the files that it runs."""

    runner: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runner} {self.precision}"

    @property
    def runs_engines(self) -> bool:
        """Whether its runner needs engines, which have to be built; else it runs ONNX files."""
        return self.runner in runner_names("engine")


def contenders_of(runners: Sequence[str], precisions: Sequence[str], observer: Observer) -> list[Contender]:
    """Return every runner in every precision, in the order given.

    Without runners, the result has the runner for this machine's GPU, else ONNX Runtime on the CPU; the observer gets a
    note with the choice and the reason. Without precisions, engines are FP16 and ONNX files FP32. Raises
    UnknownNameError.
    """
    for kind, names, known in (("runner", runners, runner_names()), ("precision", precisions, PRECISIONS)):
        for name in names:
            if name not in known:
                raise UnknownNameError(kind, name, known)
    chosen = list(dict.fromkeys(runners)) or [_runner_of_this_machine(observer)]
    engines = runner_names("engine")
    return [
        Contender(runner, precision)
        for runner in chosen
        for precision in dict.fromkeys(precisions or ("fp16" if runner in engines else "fp32",))
    ]


def _runner_of_this_machine(observer: Observer) -> str:
    from rtseg.runners.cuda.registry import open_cuda

    try:
        device = open_cuda().device
    except (CudaError, MissingDependencyError):
        return DEFAULT_RUNNERS["onnx"]
    gpu = device.name
    runner = _runner_of_engines(device.compute_capability) or _runner_of_onnx_files()
    if runner is None:
        observer.warning(f"{gpu} is not used: neither TensorRT nor onnxruntime-gpu works here (rtseg doctor shows why)")
        return DEFAULT_RUNNERS["onnx"]
    observer.note(f"timing on {gpu} with {runner}; --runner {DEFAULT_RUNNERS['onnx']} is the CPU")
    return runner


def _runner_of_engines(capability: tuple[int, int]) -> str | None:
    """Return the runner of the product that builds engines for this GPU, None if there is none."""
    from rtseg.engines.compilers import chosen_compiler
    from rtseg.engines.platform import capability_text
    from rtseg.observer import SILENT
    from rtseg.runners.cuda.registry import DEFAULT

    try:
        runtime = chosen_compiler(None, (), DEFAULT, SILENT).platform.runtime
        if runtime == RTX:
            chosen_compiler(RTX, [capability_text(capability)], DEFAULT, SILENT)  # raises for an unsupported GPU
        return runtime
    except RtsegError:
        return None


def _runner_of_onnx_files() -> str | None:
    from rtseg.runners.onnxruntime import has_provider

    return GPU_PROVIDER if has_provider("CUDAExecutionProvider") else None
