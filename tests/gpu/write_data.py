"""Write data/: a tiny network exported, calibrated and quantised by rtseg, and run by ONNX Runtime.

    python tests/gpu/write_data.py          in the root of a checkout, with torch, onnx and onnxruntime

The weights are random, the last layer's scaled so that every class wins somewhere. Nothing of it needs a GPU.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rtseg.artifacts.manifest import read_manifest
from rtseg.calibration.measurement import measured_ranges
from rtseg.calibration.selection import select
from rtseg.calibration.thresholds import Method
from rtseg.datasets.registry import class_spec, open_pictures
from rtseg.engines.building import ready_graph
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.preprocess import tensor_from_image
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.quantization.files import int8_graph, read_original, write_derived
from rtseg.runners.loading import load
from rtseg.specs import ImageSpec, Normalization, Resolution
from tests.gpu.stored_graphs import DATA, FORMS, INDEX, REFERENCE

SIZE = Resolution(64, 96)
PICTURE = Resolution(80, 112)
"""Larger than the network's input, and no multiple of it."""

GRAPHS = {
    "logits": (("fp32", "fp32"), ("fp32", "fp16"), ("int8", "int8")),
    "labels": (("labels", "fp32"), ("labels", "fp16")),
}
"""By interface: which file, and the precision of the engine."""


class TinyNetwork(SegmentationNetwork):
    """A stem, a block with a residual sum, a head: logits at stride 4 of some four thousand weights."""

    stride = 4
    align_corners = False

    def __init__(self, classes: int, scene: Tensor) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1))
        self.head = nn.Conv2d(16, classes, 1)
        with torch.no_grad():
            logits = self(scene)
            spread, mean = torch.std_mean(logits, (0, 2, 3))
            self.head.weight /= spread.reshape(-1, 1, 1, 1)
            self.head.bias.copy_((self.head.bias - mean) / spread)

    def forward(self, images: Tensor) -> Tensor:
        narrow = self.stem(images)
        return self.head(torch.relu(narrow + self.block(narrow)))  # type: ignore[no-any-return]


def write_files(folder: Path, picture: np.ndarray) -> dict[str, Path]:
    """Export the network with logits and with labels, quantise the first, and return the files by name."""
    files = {name: folder / f"{name}.onnx" for name in ("fp32", "int8", "labels")}
    scene = torch.from_numpy(tensor_from_image(picture, ImageSpec(SIZE.height, SIZE.width)))[None]
    classes = class_spec("camvid")
    module = TinyNetwork(len(classes), scene).eval()
    network = PreparedNetwork("mine:tiny", module, classes, Normalization(), "random, seed 0")
    export_onnx(network, SIZE, files["fp32"], images=[picture])
    export_onnx(network, SIZE, files["labels"], interface="labels")
    original, source = read_original(files["fp32"]), f"streets:{SIZE}"
    chosen = select(open_pictures(source, "train"), source, "train", original.manifest.image, count=4)
    model, _ = int8_graph(original, measured_ranges(files["fp32"], chosen, Method("minmax")), target="tensorrt")
    write_derived(original, model, files["int8"], precision="int8")
    return files


def write_graphs(files: dict[str, Path]) -> None:
    """Write each graph once, under the first name it is met by, and the index of all."""
    named: dict[str, str] = {}
    entries = []
    parents = {name: read_manifest(file, kind="onnx").to_json() for name, file in files.items()}
    for form, release in FORMS.items():
        for interface, wanted in GRAPHS.items():
            for file, precision in wanted:
                ready = ready_graph(files[file], precision, release)
                name = named.setdefault(ready.sha256, f"{interface}-{precision}-{form}.onnx")
                (DATA / name).write_bytes(ready.graph)
                facts = {key: value for key, value in asdict(ready).items() if key != "graph"}
                entries.append({"file": name, "interface": interface, "form": form, "ready": facts, "parent": file})
    INDEX.write_text(json.dumps({"graphs": entries, "parents": parents}, indent=1) + "\n", encoding="utf-8")


def write_reference(files: dict[str, Path], picture: np.ndarray) -> None:
    """Write the picture and what ONNX Runtime makes of it: each graph's output, and each whole frame's labels."""
    arrays = {"picture": picture}
    for name, file in files.items():
        with load(file, runner="onnxruntime") as segmenter:
            arrays[f"output-{name}"] = segmenter.runner.infer(segmenter.tensor(picture))
            arrays[f"frame-{name}"] = segmenter(picture)
    np.savez_compressed(REFERENCE, **arrays)


def main() -> None:
    picture = open_pictures(f"streets:{PICTURE}", "val")[0].image
    DATA.mkdir(exist_ok=True)
    for old in DATA.iterdir():
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RTSEG_CACHE"] = scratch
        files = write_files(Path(scratch), picture)
        write_graphs(files)
        write_reference(files, picture)


if __name__ == "__main__":
    main()
