"""Run a network in eager PyTorch, the reference every other backend is compared with."""

from __future__ import annotations

import platform

import numpy as np
import torch

from rtseg.errors import RunnerError
from rtseg.runners.protocol import Array, Runner, Step, TensorSpec


class TorchRunner(Runner):
    """A module in evaluation mode at one static input shape. The module is not copied."""

    backend = "torch"

    def __init__(self, module: torch.nn.Module, source: TensorSpec, *, device: str = "cpu") -> None:
        super().__init__()
        self._module = module
        self._input = source
        self._target = torch.device(device)
        self.device = _device_name(self._target)

    @property
    def input(self) -> TensorSpec:
        """The module's input."""
        return self._input

    @property
    def output(self) -> TensorSpec:
        """The module's output, known after a first run with zeros."""
        return self._output

    def _load(self) -> None:
        self._module.to(self._target).eval()
        zeros = torch.zeros(self._input.shape, dtype=_torch_dtype(self._input), device=self._target)
        try:
            result = self._run(zeros)
        except Exception as error:  # a network of the user's own raises what it likes
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RunnerError(f"PyTorch fails on {self._input.dtype} {self._input.shape}: {first}") from error
        self._output = TensorSpec("output", tuple(result.shape), str(result.dtype).removeprefix("torch."))

    def _free(self) -> None:
        pass

    def _infer(self, array: Array) -> Array:
        writeable = np.require(array, requirements=("C", "W"))  # PyTorch warns of arrays it must not write to
        return self._run(torch.from_numpy(writeable).to(self._target)).cpu().numpy().copy()

    def _bind(self, array: Array) -> Step:
        return _BoundModule(self, array)

    def _run(self, tensor: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self._module(tensor)  # type: ignore[no-any-return]


class _BoundModule(Step):
    """Eager PyTorch allocates its own result, so the copy into `output` belongs to the step."""

    def __init__(self, runner: TorchRunner, array: Array) -> None:
        self.input = np.array(array, order="C")
        self.output = np.empty(runner.output.shape, runner.output.dtype)
        self._runner = runner
        self._source = torch.from_numpy(self.input)
        self._result = torch.from_numpy(self.output)

    def __call__(self) -> None:
        self._result.copy_(self._runner._run(self._source.to(self._runner._target)))


def _torch_dtype(source: TensorSpec) -> torch.dtype:
    return torch.uint8 if source.dtype == "uint8" else torch.float32


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
