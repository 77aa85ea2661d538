"""The state of a calibration on disk, so that a killed run can resume and a finished run can serve another method.

The state is a file in the user's cache folder. Its name holds the digest of its inputs: the graph, the pictures, and
the versions of the counting software. It is written completely or not at all; an unreadable state counts as missing.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.cache import Cache
from rtseg.artifacts.manifest import tool_versions
from rtseg.calibration.histograms import HistogramSet

FORMAT = "rtseg-calibration-state/1"
KEPT = 4
"""How many states are kept, the newest; each takes some ten megabytes."""

STATES = Cache("calibrations", ".state", keep=KEPT)
_COUNTED_BY = ("rtseg", "numpy", "onnxruntime", "onnxruntime-gpu")


@dataclass
class CalibrationState:
    """The histograms after the first `done` pictures, and copies of them from some earlier numbers of pictures."""

    done: int
    histograms: HistogramSet
    stages: dict[int, HistogramSet] = field(default_factory=dict)

    def copy(self) -> CalibrationState:
        """Return a state that the next picture does not change. Stages never change, so they are shared."""
        return CalibrationState(self.done, self.histograms.copy(), dict(self.stages))


def state_path(onnx_sha256: str, picture_digests: Sequence[str], threads: int) -> Path:
    """Return the path of the state for calibrating that file with those pictures, in their order.

    threads is part of the name: ONNX Runtime divides a matrix product among them, which can change a value's last bit.
    """
    versions = {name: version for name, version in tool_versions().items() if name in _COUNTED_BY}
    return STATES.path([FORMAT, versions, onnx_sha256, list(picture_digests), threads])


def write_calibration_state(path: Path, state: CalibrationState) -> None:
    """Write the state and drop the oldest; a kill leaves the old state or this one. Raises WriteError."""
    parts = {"now": state.histograms, **{f"after{pictures}": then for pictures, then in state.stages.items()}}
    arrays: dict[str, NDArray[Any]] = {
        f"{part}.{name}": array for part, histograms in parts.items() for name, array in histograms.arrays().items()
    }
    arrays["format"], arrays["done"] = np.array(FORMAT), np.array(state.done)
    arrays["names"] = np.array(state.histograms.names)
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    STATES.write(path, content.getvalue())


def read_calibration_state(path: Path, names: Sequence[str], stages: Sequence[int]) -> CalibrationState | None:
    """Return the state of those tensors at path, or None if there is no complete one.

    stages are the numbers of pictures after which copies are taken, without the last. The state must have all the
    copies up to its own number of pictures.
    """
    content = STATES.read(path)
    if content is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if str(arrays["format"]) != FORMAT or arrays["names"].tolist() != list(names):
                return None
            done = int(arrays["done"])
            state = CalibrationState(done, _histograms(arrays, "now", names))
            state.stages = {n: _histograms(arrays, f"after{n}", names) for n in stages if n <= done}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):  # a complete file, but not such a state
        return None
    return state


def _histograms(arrays: np.lib.npyio.NpzFile, prefix: str, names: Sequence[str]) -> HistogramSet:
    fields = HistogramSet(()).arrays()
    return HistogramSet.from_arrays(names, {name: arrays[f"{prefix}.{name}"] for name in fields})
