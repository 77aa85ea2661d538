"""Networks that engines of TensorRT's double stand for, and what a program is told of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtseg.datasets.registry import class_spec
from rtseg.frame.host_ends import HostEnds
from rtseg.specs import ClassSpec, ImageSpec, OutputSpec
from tests.embedding.tensorrt_modules import Conversation, Module

SCALE = 1 / 256
GPU = "8.9"
UNSUPPORTED, MISSING, BACKEND, NO_MEMORY, MANIFEST = 4, 5, 6, 8, 3


@dataclass(frozen=True)
class Network:
    """What an engine of TensorRT's double computes, and how it stores it."""

    image: ImageSpec
    output: OutputSpec
    half: bool = False
    multiple: int = 0

    @property
    def ends(self) -> HostEnds:
        """Both ends as the host keeps them."""
        return HostEnds(self.image, self.output)

    @property
    def text(self) -> str:
        """The engine."""
        kind = "f16" if self.half else "f32"
        shape = f"{self.output.channels} {self.image.height} {self.image.width} {self.output.stride}"
        return f"double {shape} {kind} {self.multiple} 1"

    def logits(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the double makes of an input (1, 3, height, width)."""
        kind = np.float16 if self.half else np.float32
        seen = tensor.astype(kind).astype(np.float32)[:, :, :: self.output.stride, :: self.output.stride]
        classes = np.arange(self.output.channels)
        by_class = seen[:, classes % 3] * ((classes + 1) / 4).astype(np.float32)[:, None, None]
        made = by_class - (classes / 8).astype(np.float32)[:, None, None]
        return made.astype(kind).astype(np.float32)

    def labels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what Python makes of an RGB image."""
        tensor = self.ends.graph_input(np.ascontiguousarray(pixels))
        height, width = pixels.shape[:2]
        return self.ends.labels(self.logits(tensor), height=height, width=width)


def network(**changes: object) -> Network:
    image = ImageSpec(32, 64, scale=SCALE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    output = OutputSpec(class_spec("camvid"), "logits", 4, False)
    return replace(Network(image, output), **changes)


PLAIN = network()
NETWORKS = {
    "plain": PLAIN,
    "float16, classes together": network(half=True, multiple=8),
    "classes together without padding": network(multiple=1),
    "letterboxed, BGR": network(image=replace(PLAIN.image, fit="letterbox", padding=7, colour_order="BGR")),
    "aligned corners": network(output=replace(PLAIN.output, align_corners=True)),
    "mask": network(
        output=OutputSpec(
            ClassSpec("two", ("road", "rest"), ((1, 2, 3), (4, 5, 6)), 255), "logits", 4, False, threshold=0.1
        )
    ),
}


def describe(talk: Conversation, module: Module, known: Network, **changes: object) -> None:
    """Set the fields of the manifest of an engine for the GPU of the driver's double."""
    fields = {
        "runtime": "tensorrt-rtx" if module.is_rtx else "tensorrt",
        "release": module.release,
        "capability": GPU,
        "height": known.image.height,
        "width": known.image.width,
        "bgr": known.image.colour_order == "BGR",
        "letterbox": known.image.fit == "letterbox",
        "padding": known.image.padding,
        "classes": len(known.output.classes),
        "stride": known.output.stride,
        "align_corners": known.output.align_corners,
    }
    if known.output.threshold is not None:
        fields["threshold"] = known.output.threshold
    talk.describe({**fields, **changes})


def refusal(talk: Conversation, module: Module, path: Path, **changes: object) -> str:
    """Return the answer where that file is opened as an engine of PLAIN, the manifest changed so."""
    describe(talk, module, PLAIN, **changes)
    return talk.ask("open", path)
