"""Check that a runner that rewrites a file computes the same as ONNX Runtime; the result is cached.

ONNX Runtime runs the file as it is, with its own optimisations off: each QuantizeLinear and DequantizeLinear is then a
rounding between sums in FP32, whatever INT8 kernels the processor has.

A value between two steps may be rounded either way, and a deep network amplifies that. The file itself shows how much:
ONNX Runtime runs it on an input that differs by a thousandth. A difference of more than a few times that result means
another computation.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

import numpy as np

from rtseg.artifacts.cache import Cache
from rtseg.artifacts.files import sha256_of
from rtseg.artifacts.manifest import tool_versions
from rtseg.errors import MissingDependencyError, RunnerError, WriteError
from rtseg.frame.protocol import Array, Runner
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.probes import LARGE, distance, probe_inputs

VERDICTS = Cache("verdicts", ".json", keep=1024)
FORMAT = "rtseg-verdict/1"
"""Changes if this module, or a rewriting that it checks, decides differently."""

FLOOR = 0.04
"""A distance that is always accepted. Of 2,600 small quantized graphs with right results one was at 0.04, all others
below 0.03; wrong results were beyond 0.05."""

TIMES = 2
"""Accepted multiple of the file's own response to a small change. For deep networks with right results it was 0.5 to
1.3; the more chaotic of them had a distance of 0.5."""

CHANGES = (np.float32(1.001), np.float32(0.999))


def differences_from_onnxruntime(
    path: Path,
    infer: Callable[[Array], Array],
    runner: str,
    tools: Mapping[str, str],
    *,
    floor: float = FLOOR,
    may_overflow: bool = False,
    hint: str = "use --runner onnxruntime",
    threads: int = 0,
) -> str:
    """Compare infer's results for the graph in a file with ONNX Runtime. Return what could not be compared.

    The returned text is empty if both agree. runner is the name of the runner behind infer; tools are the versions that
    decide its results. A distance up to floor is always accepted. With may_overflow, non-finite results of infer for
    the large input do not count. hint is the advice if the two disagree.

    The verdict is cached under the file's digest and the versions. Without onnxruntime, or if it cannot run the file,
    there is no verdict, and the returned text says so. Raises RunnerError if the two disagree.
    """
    installed = {name: version for name, version in tool_versions().items() if name.startswith("onnxruntime")}
    key = [FORMAT, sha256_of(path), runner, dict(tools), floor, installed]
    with contextlib.suppress(WriteError):  # without a writable cache the comparison is repeated each time
        verdict = _kept(key)
        if verdict is not None:
            _require_agreement(path, runner, verdict, hint)
            return ""
    try:
        with OnnxRuntimeRunner(path, threads=threads, optimized=False) as reference:
            verdict = _compared(reference, infer, floor, may_overflow)
    except MissingDependencyError:
        return f"{runner} is not compared with ONNX Runtime on this file; this needs pip install 'rtseg[cpu]'"
    except RunnerError as error:
        return f"{runner} is not compared with ONNX Runtime on this file: {error}"
    with contextlib.suppress(WriteError):
        VERDICTS.write(VERDICTS.path(key), json.dumps(verdict).encode("ascii"))
    _require_agreement(path, runner, verdict, hint)
    return ""


def _kept(key: object) -> dict[str, list[float]] | None:
    content = VERDICTS.read(VERDICTS.path(key))
    with contextlib.suppress(ValueError):
        found = json.loads(content or b"null")
        if isinstance(found, dict) and all(isinstance(pair, list) and len(pair) == 2 for pair in found.values()):
            return found
    return None


def _compared(
    reference: Runner, infer: Callable[[Array], Array], floor: float, may_overflow: bool
) -> dict[str, list[float]]:
    """Return the distance of the two, and the accepted distance, for each input. Each side gets its own copy."""
    found: dict[str, list[float]] = {}
    for name, array in probe_inputs(reference.input):
        expected, got = reference.infer(array.copy()), infer(array.copy())
        counted = np.isfinite(got) if may_overflow and name == LARGE and expected.shape == got.shape else ...
        apart, allowed = distance(expected[counted], got.astype(expected.dtype)[counted]), floor
        if not apart <= allowed:
            moved = [distance(expected, reference.infer(_changed(array, factor))) for factor in CHANGES]
            allowed = max(floor, TIMES * max(moved))
        found[name] = [min(value, 1e9) for value in (apart, allowed)]  # JSON has no infinity
    return found


def _changed(array: Array, factor: np.float32) -> Array:
    """Return the input scaled by the factor; for pixels, a fifth of them changed by one."""
    changed: Array = array * factor
    if array.dtype == np.uint8:
        some = np.random.default_rng(int(factor < 1)).random(array.shape) < 0.2
        changed = np.clip(array + np.where(some, 1 if factor > 1 else -1, 0), 0, 255)
    return changed.astype(array.dtype)


def _require_agreement(path: Path, runner: str, verdict: Mapping[str, list[float]], hint: str) -> None:
    for name, (apart, allowed) in verdict.items():
        if not apart <= allowed:
            raise RunnerError(
                f"the results of {runner} differ from those of ONNX Runtime on {path}",
                got=f"a relative error of {apart:.3g} on the probe input {name!r}",
                expected=f"at most {allowed:.3g}, which rounding explains",
                hint=hint,
            )
