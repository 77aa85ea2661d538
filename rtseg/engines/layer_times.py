"""Read the time of each layer of an engine from a profile that another tool measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import PathLike
from rtseg.engines.inspector import EngineLayers
from rtseg.engines.layers_file import read_json
from rtseg.errors import EngineError

MIN_MATCHED_TIME = 0.9
"""The share of a profile's time that must be in layers of the engine; with less, the profile is another engine's."""


@dataclass(frozen=True)
class LayerTimes:
    """Milliseconds of each layer, in the order of the engine's layers; None for a layer that the profile lacks.

    unmatched_ms is the time of profile entries that match no layer of the engine.
    """

    milliseconds: tuple[float | None, ...]
    unmatched_ms: float


def read_layer_times(path: PathLike, engine: EngineLayers) -> LayerTimes:
    """Return the time of each layer of the engine.

    The file is the output of `trtexec --exportProfile` (its average times are used) or a JSON object {layer: ms}.
    Raises EngineError if it is neither, or if more than a tenth of its time is in layers that the engine lacks.
    """
    hint = "run trtexec --loadEngine=ENGINE --dumpProfile --exportProfile=PROFILE.json"
    times: dict[str, float] = {}
    for name, value in _entries(read_json(Path(path), hint=hint), str(path)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise EngineError(f"{path} has no time for the layer {name}", got=repr(value), expected="milliseconds")
        times[name] = times.get(name, 0.0) + value
    layers = Counter(layer.name for layer in engine.layers)
    unmatched = {name: time for name, time in times.items() if name not in layers}
    total = sum(times.values())
    if total <= 0 or 1 - sum(unmatched.values()) / total < MIN_MATCHED_TIME:
        raise EngineError(
            f"{path} is no profile of this engine",
            got=f"times of {', '.join(sorted(unmatched)[:3])}" if unmatched else "no time at all",
            expected=f"its {len(layers)} layers, such as {engine.layers[0].name}",
            hint=hint,
        )
    # Layers that share a name share one sum; each gets an equal part.
    shared = (None if layer.name not in times else times[layer.name] / layers[layer.name] for layer in engine.layers)
    return LayerTimes(tuple(shared), sum(unmatched.values()))


def _entries(data: object, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping) and data and not {"Layers", "layers"} & set(data):
        yield from data.items()
        return
    if not isinstance(data, list):
        raise EngineError(f"{path} is not a profile", expected="what trtexec --exportProfile writes, or {layer: ms}")
    for entry in data:
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            yield entry["name"], entry.get("averageMs")
        elif not (isinstance(entry, Mapping) and "count" in entry):
            raise EngineError(f"{path} is not a profile", got=repr(entry)[:60], expected='objects with "name"')
