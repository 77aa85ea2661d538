"""Make the cases of a GPU check where torch, onnx and onnxruntime are, and no GPU need be."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

import rtseg
from benchmarks.gpu_check.cases import Case, CaseFolder, StoredGraph, StoredPicture
from benchmarks.gpu_check.split import split_graph
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import QuantizationDetails
from rtseg.artifacts.files import PathLike, require_writable
from rtseg.artifacts.manifest import read_manifest, tool_versions
from rtseg.calibration.selection import evenly_spread
from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import open_dataset, source_name
from rtseg.datasets.streets.dataset import Streets
from rtseg.engines.building import ready_graph
from rtseg.errors import CalibrationError, UnknownNameError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.checkpoints import network_from_checkpoint
from rtseg.networks.prepared import PreparedNetwork
from rtseg.pipeline.calibration_stage import CalibrationResult
from rtseg.quantization.files import read_original, read_table
from rtseg.runners.loading import load
from rtseg.specs import ClassSpec, Resolution

Notify = Callable[[str], None]
Facts = dict[str, Any]

CHECKPOINTS = Path("export/checkpoints")
TABLES = Path("calibration")
RESOLUTIONS = ("512x512", "512x1024", "1024x2048")

RELEASES = {"flags": "8.5.3", "typed": "10.0.1"}
"""By form of the graph, a TensorRT that takes it; all others of that form take the same."""

SCENES = 2
"""Rendered pictures of each case, at its own size."""

PICTURES = 4
"""Of the dataset that is given beside them, at their own size."""

CALIBRATION_SCENES = 4
CALIBRATION = "percentile"


@dataclass(frozen=True)
class Request:
    """Which cases to make. data is a labelled dataset such as camvid:PATH, empty for rendered scenes alone.

    tables is the folder of calibration tables; one that is not of a case's graph is passed over.
    """

    checkpoints: Sequence[Path]
    resolutions: Sequence[Resolution]
    forms: Sequence[str] = tuple(RELEASES)
    data: str = ""
    split: str = "val"
    tables: Path = TABLES


def shipped_checkpoints(names: Sequence[str] = (), folder: Path = CHECKPOINTS) -> list[Path]:
    """Return the checkpoints in the folder, or those of that name. Raises UnknownNameError."""
    found = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    for name in names or ("",) * (not found):
        if name not in found:
            raise UnknownNameError(f"network in {folder}", name, found)
    return [path for name, path in found.items() if not names or name in names]


def prepare(request: Request, folder: PathLike, *, notify: Notify = lambda text: None) -> list[Case]:
    """Write the cases into the folder and return them; what other cases it held is replaced.

    Every export is compared with PyTorch on the way. Raises what loading, exporting, calibrating and quantising raise,
    DatasetError and WriteError.
    """
    store = CaseFolder(folder)
    require_writable(store.index)
    beside = _of_the_dataset(request)
    cases = [
        _prepared_case(store, checkpoint, resolution, request, beside, notify)
        for checkpoint in request.checkpoints
        for resolution in request.resolutions
    ]
    store.write_cases(cases, tool_versions())
    return cases


def _prepared_case(
    store: CaseFolder,
    checkpoint: Path,
    resolution: Resolution,
    request: Request,
    beside: Sequence[_Picture],
    notify: Notify,
) -> Case:
    def told(text: str) -> None:
        notify(f"{checkpoint.stem} {resolution}: {text}")

    network = network_from_checkpoint(checkpoint)
    pictures = [*_scenes(resolution), *beside]
    images = [picture.item.image for picture in pictures]
    with tempfile.TemporaryDirectory() as scratch:
        files = _made_files(network, resolution, Path(scratch), images[0], request.tables, told)
        told(f"running ONNX Runtime on {len(images)} pictures")
        references = {"fp32": _label_maps(files.fp32, images), "int8": _label_maps(files.int8, images)}
        told("making the graphs ready for TensorRT")
        graphs = [
            _stored_graph(store, path, interface, precision, form)
            for form in request.forms
            for path, interface, precision in files.graphs()
        ]
    return Case(
        network=checkpoint.stem,
        resolution=str(resolution),
        checkpoint=read_manifest(checkpoint, kind="checkpoint").to_json(),
        weights=store.put_arrays(_tensors(network)),
        calibration=files.calibration,
        pictures=tuple(_stored_picture(store, picture, network.classes) for picture in pictures),
        references={precision: store.put_arrays(maps) for precision, maps in references.items()},
        graphs=tuple(graphs),
    )


@dataclass(frozen=True)
class _Picture:
    data: str
    classes: ClassSpec
    item: LabelledImage


def _scenes(resolution: Resolution) -> list[_Picture]:
    scenes = Streets("val", resolution)
    return [_Picture("streets", scenes.classes, scenes[index]) for index in range(SCENES)]


def _of_the_dataset(request: Request) -> list[_Picture]:
    if not request.data:
        return []
    dataset, name = open_dataset(request.data, request.split), source_name(request.data)
    return [_Picture(name, dataset.classes, dataset[index]) for index in evenly_spread(PICTURES, len(dataset))]


@dataclass(frozen=True)
class _Files:
    """The ONNX files of a case: logits in FP32 and INT8, FP32 with both ends of the frame in it, FP32 to full size."""

    fp32: Path
    int8: Path
    labels: Path
    scores: Path
    calibration: Facts

    def graphs(self) -> list[tuple[Path, str, str]]:
        """Return each file that engines are built from, its interface, and the engine's precision."""
        return [
            (self.fp32, "logits", "fp32"),
            (self.fp32, "logits", "fp16"),
            (self.int8, "logits", "int8"),
            (self.labels, "labels", "fp16"),
            (self.scores, "scores", "fp16"),
        ]


def _made_files(
    network: PreparedNetwork,
    resolution: Resolution,
    folder: Path,
    image: NDArray[np.uint8],
    tables: Path,
    notify: Notify,
) -> _Files:
    notify("exporting")
    fp32, int8, labels, scores = (folder / f"{name}.onnx" for name in ("fp32", "int8", "labels", "scores"))
    export_onnx(network, resolution, fp32, images=[image])
    export_onnx(network, resolution, labels, interface="labels")
    export_onnx(network, resolution, scores, interface="scores")
    artifact = Artifact.open(fp32)
    tracked = _tracked_table(artifact, tables)
    quantized = rtseg.quantize(artifact, tracked or _calibrated(artifact, resolution, notify), int8)
    made_with = quantized.artifact.manifest.details_as(QuantizationDetails).table or {}
    facts = {"table": None if tracked is None else tracked.name, **made_with}
    return _Files(fp32, int8, labels, scores, {**facts, "int8_share_of_macs": quantized.census.int8_share})


def _tracked_table(artifact: Artifact, folder: Path) -> Path | None:
    original = read_original(artifact)
    for path in sorted(folder.glob("*.table.json")):
        try:
            read_table(path, original)
        except CalibrationError:
            continue  # of another network or size
        return path
    return None


def _calibrated(artifact: Artifact, resolution: Resolution, notify: Notify) -> CalibrationResult:
    notify(f"calibrating on {CALIBRATION_SCENES} scenes")
    return rtseg.calibrate(artifact, f"streets:{resolution}", images=CALIBRATION_SCENES, method=CALIBRATION)


def _label_maps(path: Path, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    with load(path, runner="onnxruntime") as segmenter:
        return {str(index): segmenter(image) for index, image in enumerate(images)}


def _stored_picture(store: CaseFolder, picture: _Picture, classes: ClassSpec) -> StoredPicture:
    """Keep a picture, with its truth where that speaks of the network's classes."""
    item, labelled = picture.item, picture.classes.names == classes.names
    digest = store.put_arrays({"image": item.image, **({"truth": item.labels} if labelled else {})})
    height, width = item.labels.shape
    return StoredPicture(item.name, picture.data, height, width, labelled, digest)


def _stored_graph(store: CaseFolder, path: Path, interface: str, precision: str, form: str) -> StoredGraph:
    ready = ready_graph(path, precision, RELEASES[form], rewrite=False)  # passes make weights that no graphs share
    parts = split_graph(ready.graph)
    return StoredGraph(
        interface=interface,
        skeleton=store.put(parts.skeleton),
        constants=tuple((offset, store.put(content)) for offset, content in parts.constants),
        parent=read_manifest(path, kind="onnx").to_json(),
        **{
            name: value
            for name, value in asdict(ready).items()
            if name not in ("graph", "products", "notes", "rewriting", "macs")
        },
    )


def _tensors(network: PreparedNetwork) -> Mapping[str, NDArray[Any]]:
    """Return the network's state by name; what float16 holds exactly is kept in it."""
    return {name: _narrowed(value.numpy()) for name, value in network.module.state_dict().items()}


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values
