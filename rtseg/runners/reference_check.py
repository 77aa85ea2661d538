"""Whether a runner that rewrites a file computes what the file says: compared once with ONNX Runtime, then remembered.

ONNX Runtime takes the file as it is, with its own optimisations off: each QuantizeLinear and DequantizeLinear is then a
rounding between sums in FP32, whatever kernels for INT8 the processor has.

Values that lie between two steps may be rounded either way, and a deep network spreads that. How far is asked of the
file itself: by what ONNX Runtime gives for an input that differs by a thousandth. What is further away than a few times
that is another computation.
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
"""Another one where this module, or a rewriting that it judges, decides otherwise."""

FLOOR = 0.04
"""A distance that needs no excuse. Of 2,600 small quantised graphs that came out right one was at 0.04, all others
below 0.03; what came out wrong was beyond 0.05."""

TIMES = 2
"""How many times as far as the file's own answer to a small change. Of deep networks that came out right it was 0.5 to
1.3 times, the more chaotic of them with a distance of 0.5."""

CHANGES = (np.float32(1.001), np.float32(0.999))


def differences_from_onnxruntime(
    path: Path,
    infer: Callable[[Array], Array],
    runner: str,
    tools: Mapping[str, str],
    *,
    floor: float = FLOOR,
    may_overflow: bool = False,
    hint: str = "--runner onnxruntime",
    threads: int = 0,
) -> str:
    """Compare what infer gives for the graph in a file with ONNX Runtime. Return what cannot be said of it.

    The return is empty where both agree. runner is the name of what infers, tools are the versions that decide what it
    gives. A distance up to floor needs no excuse; with may_overflow values that are not finite in what is inferred for
    the large input do not count. hint is what to try where the two disagree.

    The verdict is kept in the cache under the file's digest and the versions; without onnxruntime, or where it does not
    take the file, there is none, and the return says so. Raises RunnerError where the two disagree.
    """
    installed = {name: version for name, version in tool_versions().items() if name.startswith("onnxruntime")}
    key = [FORMAT, sha256_of(path), runner, dict(tools), floor, installed]
    with contextlib.suppress(WriteError):  # a user without any folder has it compared each time
        verdict = _kept(key)
        if verdict is not None:
            _require_agreement(path, runner, verdict, hint)
            return ""
    try:
        with OnnxRuntimeRunner(path, threads=threads, optimized=False) as reference:
            verdict = _compared(reference, infer, floor, may_overflow)
    except MissingDependencyError:
        return (
            f"{runner} is not compared with ONNX Runtime on this file, which is not installed: pip install 'rtseg[cpu]'"
        )
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
    """Return by input how far apart the two are, and how far they may be. Each side gets an input of its own."""
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
    """Return the input a little larger or smaller; of pixels a fifth, by one."""
    changed: Array = array * factor
    if array.dtype == np.uint8:
        some = np.random.default_rng(int(factor < 1)).random(array.shape) < 0.2
        changed = np.clip(array + np.where(some, 1 if factor > 1 else -1, 0), 0, 255)
    return changed.astype(array.dtype)


def _require_agreement(path: Path, runner: str, verdict: Mapping[str, list[float]], hint: str) -> None:
    for name, (apart, allowed) in verdict.items():
        if not apart <= allowed:
            raise RunnerError(
                f"{runner} computes something else than {path} says: on a {name} it is not ONNX Runtime's result",
                got=f"a distance of {apart:.3g}",
                expected=f"at most {allowed:.3g}, which rounding explains",
                hint=hint,
            )
