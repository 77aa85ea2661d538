"""Run a network in eager PyTorch, the reference for every other backend."""

from __future__ import annotations

import copy
import platform

import numpy as np
import torch

from rtseg.errors import RunnerError, first_line
from rtseg.frame.protocol import Array, Runner, Step, TensorSpec


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
        except Exception as error:  # a user's network may raise anything
            raise RunnerError(
                f"PyTorch fails on {self._input.dtype} {self._input.shape}: {first_line(error)}"
            ) from error
        self._output = TensorSpec("output", tuple(result.shape), str(result.dtype).removeprefix("torch."))

    def infer_fp64(self, array: Array) -> Array:
        """Return the output of a copy of the module in FP64: float64 instead of float32.

        The copy is freed afterwards. Raises RunnerError for another shape or dtype of the input, and for a module that
        cannot be copied, cannot run in FP64, or does not stay in FP64.
        """
        self._require(array)
        source = self._tensor(array)
        try:
            with torch.inference_mode():
                doubled = copy.deepcopy(self._module).double()
                result = doubled(source.double() if source.is_floating_point() else source)
        except Exception as error:  # a user's network may raise anything
            raise RunnerError(f"PyTorch cannot run this network in FP64: {first_line(error)}") from error
        expected = "float64" if self._output.dtype == "float32" else self._output.dtype
        got = str(result.dtype).removeprefix("torch.")
        if got != expected:
            raise RunnerError(
                "this network does not stay in FP64",
                got=got,
                expected=expected,
                hint="leave fixed dtypes out of forward()",
            )
        return result.cpu().numpy()  # type: ignore[no-any-return]

    def infer_moved(self, array: Array, seed: int) -> Array:
        """Return the output of a copy of the module with every float32 weight moved to a neighbouring number.

        The seed decides up or down. This is the same network up to rounding, but its sums are rounded differently.
        Raises RunnerError for another shape or dtype of the input.
        """
        self._require(array)
        moved = copy.deepcopy(self._module)
        random = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            for weight in moved.parameters():
                up = torch.rand(weight.shape, generator=random).to(weight.device) < 0.5
                if weight.dtype == torch.float32:
                    towards = torch.where(up, torch.inf, -torch.inf)
                    # Zeros stay: their neighbours are subnormal numbers, which are slow and which folding never makes.
                    weight.copy_(torch.where(weight == 0, weight, torch.nextafter(weight, towards)))
            return moved(self._tensor(array)).cpu().numpy()  # type: ignore[no-any-return]

    def _free(self) -> None:
        pass

    def _infer(self, array: Array) -> Array:
        try:
            return self._run(self._tensor(array)).cpu().numpy().copy()
        except Exception as error:  # a user's network may raise anything, on some pictures alone
            raise RunnerError(f"PyTorch fails on a picture: {type(error).__name__}: {first_line(error)}") from error

    def _tensor(self, array: Array) -> torch.Tensor:
        # A copy, because the module may write into its input.
        return torch.from_numpy(np.array(array, order="C")).to(self._target)

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
