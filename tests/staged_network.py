"""A small network of several modules, its calibration table and pictures whose truth is what its FP32 file says.

So the FP32 file has 100 % mIoU, and every pixel that INT8 changes costs some of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from rtseg.cli import main
from rtseg.datasets.camvid import write_camvid_layout
from rtseg.datasets.labelled import LabelledDataset, LabelledImage
from rtseg.datasets.registry import class_spec, open_dataset
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.segmenter import Segmenter
from rtseg.graphs.canonical import read_canonical
from rtseg.graphs.view import GraphView, node_name
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.runners.loading import load
from rtseg.specs import ImageSpec, Normalization, Resolution

SIZE = Resolution(64, 96)
SCENES = f"streets:{SIZE}"
PICTURES = 3

STEM, EARLY, LATE, HEAD = "stem", "early", "late", "head"
BLOCKS = {
    STEM: {"/network/stem/Conv"},
    EARLY: {"/network/early/early.0/Conv", "/network/early/early.2/Conv"},
    LATE: {"/network/late/late.0/Conv"},
    HEAD: {"/network/head/Conv"},
}
"""The modules and the names of their operators; early does most of the work."""


class StagedNetwork(SegmentationNetwork):
    """Four modules in a row, random weights, logits at stride 4 in which every class is somewhere the largest."""

    stride = 4
    align_corners = False

    def __init__(self, classes: int, scene: Tensor) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.early = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 16, 3, padding=1))
        self.late = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(16, classes, 1)
        with torch.no_grad():
            logits = self(scene)
            spread, mean = torch.std_mean(logits, (0, 2, 3))
            self.head.weight /= spread.reshape(-1, 1, 1, 1)
            self.head.bias.copy_((self.head.bias - mean) / spread)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.late(self.early(self.stem(images))))  # type: ignore[no-any-return]


def staged_network(scene: Tensor) -> PreparedNetwork:
    """Return the network with CamVid's classes; the scene, (1, 3, height, width), balances them."""
    classes = class_spec("camvid")
    module = StagedNetwork(len(classes), scene).eval()
    return PreparedNetwork("mine:staged", module, classes, Normalization(), "made by hand")


class Staged(NamedTuple):
    """The exported file, its table, and the pictures in CamVid's layout (split val)."""

    onnx: Path
    table: Path
    camvid: Path

    @property
    def data(self) -> str:
        """The labelled pictures as a command takes them."""
        return f"camvid:{self.camvid}"

    @property
    def unlabelled(self) -> str:
        """The pictures alone as a command takes them."""
        return f"images:{self.camvid / 'val'}"

    def sabotaged(self, blocks: Collection[str], path: Path, *, factor: float = 20.0) -> Path:
        """Write another table, in which the blocks read what is factor times too coarse."""
        view = GraphView(read_canonical(self.onnx))
        first = {sorted(BLOCKS[block])[0] for block in blocks}
        read = {node.input[0] for node in view.nodes if node_name(node) in first}
        facts = json.loads(self.table.read_text())
        for tensor in read:
            facts["ranges"][tensor][0] *= factor
        path.write_text(json.dumps(facts))
        return path


class Foretold:
    """Scenes with CamVid's classes whose truth is what the segmenter says."""

    def __init__(self, scenes: LabelledDataset, segmenter: Segmenter) -> None:
        self.classes = class_spec("camvid")
        self._scenes, self._segmenter = scenes, segmenter

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> LabelledImage:
        scene = self._scenes[index]
        return LabelledImage(scene.name, scene.image, self._segmenter(scene.image))


def staged_files(folder: Path) -> Staged:
    """Return where the files of a folder are."""
    return Staged(folder / "staged.onnx", folder / "staged.table.json", folder / "camvid")


def write_staged(folder: Path) -> None:
    """Export, calibrate and draw."""
    files = staged_files(folder)
    scenes = open_dataset(SCENES, "val")
    image = ImageSpec(SIZE.height, SIZE.width)
    scene = torch.from_numpy(tensor_from_image(scenes[0].image, image, threads=1))[None]
    export_onnx(staged_network(scene), SIZE, files.onnx)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setenv("RTSEG_CACHE", str(folder / "cache"))
        arguments = ("--data", SCENES, "--images", "4", "--method", "minmax", "--threads", "1")
        main(["calibrate", str(files.onnx), *arguments, "-o", str(files.table)])
    assert done.value.code == 0
    with load(files.onnx, threads=1) as segmenter:
        write_camvid_layout(Foretold(scenes, segmenter), files.camvid, "val", count=PICTURES)
