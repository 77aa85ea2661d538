"""Measure, layer by layer, how a file drifts from its reference in another precision.

There are two figures for each tensor that both graphs compute. `error_out` is the distance of the other file's value
from the reference's when each file runs on the picture: it includes the errors of all earlier layers. `added` is the
error of the operator itself: the other file's operator, with its own weights, scales and roundings, runs on the
reference's values, and its result is compared with the reference's. So a fault shows in `added` at its operator, and in
`error_out` there and later. The quantization of a tensor counts for every operator that reads it, and FP16 rounds a
value for its reader too, so the figures rank operators but do not sum to the final error.

Errors are relative: the root mean square of the difference divided by that of the reference, over all pictures, summed
in float64. An error is infinite if a value is not finite, as when FP16 overflows, or if the reference is zero
everywhere and the other is not.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.manifest import Manifest
from rtseg.datasets.pictures import PictureSource
from rtseg.errors import DatasetError, SpecError
from rtseg.frame.host_ends import HostEnds
from rtseg.graphs.canonical import read_graph
from rtseg.graphs.view import GraphView
from rtseg.observer import SILENT, Observer
from rtseg.quantization.drift_count import LayerCount, OutputCount
from rtseg.quantization.drift_runs import FileRun, require_polygraphy

TASK = "comparing layers"


@dataclass(frozen=True)
class LayerDrift:
    """One tensor of both graphs, and the operator of the reference that computes it.

    error_in is the largest error_out among the operator's inputs, 0 for the graph's input. The three errors are
    relative, as the module explains, and may be infinite.
    """

    operator: str
    operator_type: str
    tensor: str
    error_in: float
    error_out: float
    added: float


@dataclass(frozen=True)
class Drift:
    """How a file drifts from its reference on some pictures.

    layers are in computing order; empty if a file is an engine or an OpenVINO model, whose layers are fused.
    interface is the output of both files: logits, scores or labels. output_error is its relative error, None for
    labels. label_difference is the fraction of pixels, from 0 to 1, whose labels differ, at the graph's resolution.
    """

    pictures: int
    interface: str
    layers: tuple[LayerDrift, ...]
    output_error: float | None
    label_difference: float

    def ranked(self) -> tuple[LayerDrift, ...]:
        """Return the layers by decreasing added error, in computing order among equals."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.added))

    def first_beyond(self, threshold: float) -> LayerDrift | None:
        """Return the first layer in computing order with error_out above threshold, None if there is none."""
        return next((layer for layer in self.layers if layer.error_out > threshold), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: layers in computing order, and in ranked their tensors by decreasing added error.

        Errors are fractions of the reference's root mean square, null if infinite.
        """
        return {
            "pictures": self.pictures,
            "interface": self.interface,
            "layers": [{name: _plain(value) for name, value in asdict(layer).items()} for layer in self.layers],
            "ranked": [layer.tensor for layer in self.ranked()],
            "output_error": _plain(self.output_error),
            "label_difference": self.label_difference,
        }


def measured_drift(
    reference: Artifact,
    other: Artifact,
    pictures: PictureSource,
    *,
    images: int = 2,
    threads: int = 0,
    observer: Observer = SILENT,
) -> Drift:
    """Return the drift of the file other from reference on the first images of the pictures.

    Both must state the same contracts. ONNX files run on the CPU with ONNX Runtime, through Polygraphy, operator by
    operator. Each operator runs three times per picture: in the reference, in the other, and in the other on the
    reference's values. A value is kept until its last reader has run: affnet at 1024x2048 takes about 1 GiB, for any
    number of pictures. If one of the files is an engine, on a GPU, or an OpenVINO model, only the outputs are
    compared. threads limits the cores used; 0 means all.

    Raises OnnxError, SpecError for other contracts, DatasetError without a picture, RunnerError, MissingDependencyError
    without Polygraphy, ONNX Runtime or TensorRT, and what the pictures raise.
    """
    paths = reference.path, other.path
    manifests = [reference.manifest, other.manifest]
    _require_same_contract(paths, manifests)
    total = min(images, len(pictures))
    if total < 1:
        raise DatasetError("there is no picture to compare on", got=total, expected="1 or more")
    require_polygraphy()
    count: OutputCount | LayerCount
    if any(manifest.kind != "onnx" for manifest in manifests):
        count = OutputCount([FileRun(each, threads=threads) for each in (reference, other)])
    else:
        views = [GraphView(read_graph(path)) for path in paths]
        count = LayerCount(*views, threads=threads)
    image, output = manifests[0].image, manifests[0].output
    frame = HostEnds(image, output, threads)
    unequal = pixels = 0
    for index in range(total):
        step = _Steps(observer, index, total)
        results = count.add(frame.graph_input(pictures[index].image), step)
        maps = [frame.labels(result, height=image.height, width=image.width) for result in results]
        unequal += int(np.count_nonzero(maps[0] != maps[1]))
        pixels += maps[0].size
    rows = [
        LayerDrift(
            row.tensor.operator, row.tensor.operator_type, row.tensor.name, row.error_in, row.error_out, row.added
        )
        for row in count.rows()
    ]
    error = None if frame.gives_labels else count.output.error
    return Drift(total, output.interface, tuple(rows), error, unequal / pixels)


class _Steps:
    """Reports the progress over all pictures from that of one."""

    def __init__(self, observer: Observer, picture: int, pictures: int) -> None:
        self._observer, self._picture, self._pictures = observer, picture, pictures

    def __call__(self, done: int, total: int) -> None:
        self._observer.progress(TASK, self._picture * total + done, self._pictures * total)


def _require_same_contract(paths: tuple[Path, Path], manifests: list[Manifest]) -> None:
    first, second = ({**each.image.to_json(), **each.output.to_json()} for each in manifests)
    differing = [name for name in first if first[name] != second.get(name)]
    if differing:
        sides = [", ".join(f"{name} {_short(side[name])}" for name in differing) for side in (second, first)]
        raise SpecError(
            f"{paths[0]} and {paths[1]} have different contracts",
            got=sides[0],
            expected=sides[1],
            hint=f"run rtseg quantize {paths[0]}, and compare with its output",
        )


def _short(value: object) -> str:
    """Return a field of a contract as a short text: for a list of classes, their number."""
    return f"{len(value['names'])} of {value['dataset'] or 'a list'}" if isinstance(value, dict) else str(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
