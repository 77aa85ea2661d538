"""What ONNX Runtime has beyond the contract of runners: steps in the memory of a provider's device."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from rtseg.runners.loading import load
from rtseg.runners.onnxruntime import OnnxRuntimeRunner


def test_a_step_in_the_devices_memory_computes_what_infer_computes(exported: Path) -> None:
    with OnnxRuntimeRunner(exported, threads=1) as runner:
        array = np.random.default_rng(0).standard_normal(runner.input.shape, np.float32)
        step = runner.bind_resident(array)
        array_given, array[...] = array.copy(), 0
        step()
        np.testing.assert_array_equal(step.output.numpy(), runner.infer(array_given))


def test_threads_that_load_at_once_leave_standard_output_alone(exported: Path) -> None:
    before = sys.stdout
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load(exported, threads=1).close(), range(12)))
    assert sys.stdout is before
