"""What tests of runners ask of an emulated machine: an input, the answer to expect, and what CUDA was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rtseg.frame.protocol import Array
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from tests.emulated_gpu.machine import EmulatedMachine


def tensor(seed: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(seed).standard_normal((1, 3, 64, 96), np.float32).astype(dtype)


def expected(graph: Path, array: Array) -> Array:
    with OnnxRuntimeRunner(graph, threads=1) as runner:
        return runner.infer(array.astype(np.float32))


def spent(machine: EmulatedMachine, work: Callable[[], object]) -> Counter[str]:
    """Return what CUDA was asked for meanwhile."""
    before = machine.driver.counts.copy()
    work()
    return machine.driver.counts - before
