"""affnet's files and a calibration table, for tests that want a real network and no accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtseg.artifacts.manifest import read_manifest, tool_versions
from rtseg.calibration.observation import cut, tensor_spec
from rtseg.calibration.table import CalibrationTable, PictureDigest, TensorRange
from rtseg.datasets.registry import class_spec
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.identity import structure_sha256
from rtseg.graphs.view import GraphView
from rtseg.networks.prepared import network_with_random_weights
from rtseg.runners.activations import ActivationRunner
from rtseg.specs import INTERFACES, Resolution


def write_affnet(folder: Path) -> None:
    """Write affnet.onnx, at 64x64 with CamVid's classes, and affnet.table.json into the folder."""
    path = folder / "affnet.onnx"
    export_onnx(network_with_random_weights("affnet", class_spec("camvid"), seed=0), Resolution(64, 64), path)
    table_of(path).write(folder / "affnet.table.json")


def write_interfaces(folder: Path) -> None:
    """Write logits.onnx, scores.onnx and labels.onnx, at 64x96 with CamVid's classes and the weights of seed 5."""
    network = network_with_random_weights("affnet", class_spec("camvid"), seed=5)
    for interface in INTERFACES:
        export_onnx(network, Resolution(64, 96), folder / f"{interface}.onnx", interface=interface)


def table_of(path: Path) -> CalibrationTable:
    """Return the ranges of three random inputs."""
    model, manifest = read_canonical(path), read_manifest(path, kind="onnx")
    view = GraphView(model)
    source = tensor_spec(view, view.input)
    run = ActivationRunner(source, cut(view, view.activations()), threads=1)
    random = np.random.default_rng(0)
    seen: dict[str, list[float]] = {}
    for _ in range(3):
        image = random.standard_normal(source.shape, np.float32)
        for name, values in [(source.name, image), *run(image)]:
            seen.setdefault(name, []).extend((float(values.min()), float(values.max())))
    return CalibrationTable(
        network=manifest.network,
        onnx_sha256=manifest.sha256,
        structure_sha256=structure_sha256(view),
        parent_sha256=manifest.parent_sha256,
        image=manifest.image,
        method="minmax",
        percentile=None,
        data="random",
        split="train",
        pictures=tuple(PictureDigest(f"random {index}", f"{index:064x}") for index in range(3)),
        ranges={name: TensorRange(max(*map(abs, ends), 1e-6), min(ends), max(ends)) for name, ends in seen.items()},
        convergence={},
        tools=tool_versions(),
    )
