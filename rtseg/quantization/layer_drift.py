"""Where a file and its twin in another precision drift apart, layer by layer.

Two figures are told of each tensor that both graphs compute. `error_out` is how far the twin's value is from the
reference's when each file runs from the picture on: it holds what all layers before it did. `added` is what the
operator adds by itself: the twin's operator, with its own weights, scales and roundings, is run on the reference's
values, and its result is held against the reference's. A fault therefore shows in `added` at the operator that has
it, and in `error_out` there and behind it. Quantising a tensor counts for every operator that reads it quantised, and
what FP16 rounds is rounded for the reader too, so the figures rank operators and do not add up to the error at the end.

Errors are relative: the root mean square of the difference over that of the reference, over all pictures, summed in
float64. An error is infinite where a value is not finite, as when FP16 overflows, or where the reference is zero
everywhere and the twin is not.
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
    """One tensor of both graphs, and the operator of the reference that gives it.

    error_in is the largest error_out among the tensors that the operator reads, 0 for the graph's input. The three
    errors are relative, as the module says, and may be infinite.
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

    layers stand in computing order; there are none where a file is an engine or a model
    of OpenVINO, whose layers are fused. interface says
    what both files give: logits, scores or labels. output_error is the relative error of that, None for labels.
    label_difference is the share of pixels, from 0 to 1, whose labels differ, at the size that the graph sees.
    """

    pictures: int
    interface: str
    layers: tuple[LayerDrift, ...]
    output_error: float | None
    label_difference: float

    def ranked(self) -> tuple[LayerDrift, ...]:
        """Return the layers by falling added error, in computing order among equals."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.added))

    def first_beyond(self, threshold: float) -> LayerDrift | None:
        """Return the first layer in computing order whose error_out is larger than threshold; None where none is."""
        return next((layer for layer in self.layers if layer.error_out > threshold), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values: layers in computing order, and in ranked their tensors by falling added error.

        Errors are fractions of the reference's root mean square, null where they are infinite.
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
    """Return how the file other drifts from reference on the first images of the pictures.

    Both state the same contracts. ONNX files run on the CPU with ONNX
    Runtime, through Polygraphy, operator by operator as they are written. Each operator runs three times a picture: in
    the reference, in the other, and in the other on the reference's values. What a later operator reads is held until
    then, everything else is dropped: affnet at 1024x2048 takes about 1 GiB, however many pictures there are. Where
    one of the files is an engine, on a GPU, or a model of OpenVINO, the outputs alone are compared. threads bounds the
    cores used; 0 is all.

    Raises OnnxError, SpecError for other contracts, DatasetError without a picture, RunnerError,
    MissingDependencyError without Polygraphy, ONNX Runtime or TensorRT, and what the pictures raise.
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
        told = _Told(observer, index, total)
        results = count.add(frame.graph_input(pictures[index].image), told)
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


class _Told:
    """Tells the progress over all pictures from that of one."""

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
            f"{paths[0]} and {paths[1]} keep different contracts",
            got=sides[0],
            expected=sides[1],
            hint=f"rtseg quantize {paths[0]}, which gives a twin of it",
        )


def _short(value: object) -> str:
    """Return a field of a contract in few words: of a list of classes how many there are."""
    return f"{len(value['names'])} of {value['dataset'] or 'a list'}" if isinstance(value, dict) else str(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
