"""The graphs in data/, ready for TensorRT, and what ONNX Runtime says of them. Reading them needs NumPy only.

    data/graphs.json      what each graph is, and the manifests of the files that they were made from
    data/*.onnx           a network of a few thousand weights at 64x96, by interface, precision and form
    data/reference.npz    a picture, and by file the graph's output and the label map of the picture's size

write_data.py makes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.artifacts.manifest import Manifest
from rtseg.engines.plan import ReadyGraph

DATA = Path(__file__).resolve().parent / "data"
INDEX, REFERENCE = DATA / "graphs.json", DATA / "reference.npz"

FORMS = {"flags": "8.5.3", "typed": "10.0.1"}
"""By form of a graph, the oldest TensorRT that takes it."""


@dataclass(frozen=True)
class StoredGraph:
    """A graph as TensorRT takes it in one form. parent is the manifest of the file it was made from.

    made_from is that file's name in the reference: fp32, int8 or labels.
    """

    file: str
    interface: str
    form: str
    made_from: str
    ready: ReadyGraph
    parent: Manifest


def stored_graphs() -> list[StoredGraph]:
    """Return all graphs of both forms."""
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    parents = {name: Manifest.from_json(facts) for name, facts in index["parents"].items()}
    return [_stored(entry, parents) for entry in index["graphs"]]


def reference() -> Mapping[str, np.ndarray]:
    """Return the stored arrays by name."""
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def _stored(entry: dict[str, Any], parents: Mapping[str, Manifest]) -> StoredGraph:
    facts = {**entry["ready"], "builder_flags": tuple(entry["ready"]["builder_flags"])}
    ready = ReadyGraph(graph=(DATA / entry["file"]).read_bytes(), **facts)
    return StoredGraph(
        entry["file"], entry["interface"], entry["form"], entry["parent"], ready, parents[entry["parent"]]
    )
