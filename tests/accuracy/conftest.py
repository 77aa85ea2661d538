"""A network whose labels can be foretold, as an exported file that a runner runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rtseg.datasets.registry import class_spec
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.segmenter import Segmenter
from rtseg.networks.prepared import PreparedNetwork
from rtseg.networks.spec import SegmentationNetwork
from rtseg.runners.loading import load
from rtseg.specs import Normalization, Resolution

SIZE = Resolution(32, 48)


class Brightness(SegmentationNetwork):
    """Class 1 where the red is more than a threshold, at stride 1; never one of the further classes."""

    stride = 1
    align_corners = False

    def __init__(self, threshold: float, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 1)
        self.conv.weight.data.zero_()
        self.conv.weight.data[1, 0] = 1.0
        self.conv.bias.data = torch.tensor([threshold, 0.0, *[-9.0] * (classes - 2)])

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Segmenter]]:
    """Give an open segmenter of Brightness with that threshold, 32x48, for pictures of any size."""
    folder: Path = tmp_path_factory.mktemp("brightness")
    opened: dict[tuple[float, str], Segmenter] = {}

    def segmenter(threshold: float, classes: str = "2") -> Segmenter:
        key = (threshold, classes)
        if key not in opened:
            spec = class_spec(classes)
            plain = Normalization("RGB", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
            module = Brightness(threshold, len(spec)).eval()
            path = folder / f"{threshold}-{classes}.onnx"
            export_onnx(PreparedNetwork("mine:brightness", module, spec, plain, "made by hand"), SIZE, path)
            opened[key] = load(path, threads=1)
        return opened[key]

    yield segmenter
    for each in opened.values():
        each.close()
