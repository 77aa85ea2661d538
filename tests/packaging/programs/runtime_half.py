"""What runs an engine, with NumPy alone: imports the modules named, then makes labels of a picture.

python runtime_half.py MODULE...
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import SimpleNamespace

import numpy as np

import rtseg


class ChannelsAsLogits:
    """A network in NumPy: the logits of three classes are the three channels, at a quarter of the size."""

    input = SimpleNamespace(shape=(1, 3, 32, 48), dtype="float32")
    output = SimpleNamespace(shape=(1, 3, 8, 12), dtype="float32")

    def open(self):
        """Do nothing."""

    def close(self):
        """Do nothing."""

    def frames(self, image, output, **settings):
        """Return that the host makes both ends."""

    def infer(self, tensor):
        """Return the mean of each 4x4 cell."""
        return np.ascontiguousarray(tensor.reshape(1, 3, 8, 4, 12, 4).mean(axis=(3, 5)), np.float32)


def main():
    """Import, label, and say with which NumPy."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    wanted = ("torch", "onnx", "onnxruntime", "cv2", "PIL", "rich", "click", "safetensors", "matplotlib", "tomli")
    found = [name for name in wanted if importlib.util.find_spec(name) is not None]
    loaded = [name for name in wanted if name in sys.modules]
    names = ("red", "green", "blue")
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    classes = rtseg.ClassSpec("colours", names, colours)
    spec = rtseg.ImageSpec(32, 48, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    segmenter = rtseg.Segmenter(
        ChannelsAsLogits(), spec, rtseg.OutputSpec(classes, "logits", stride=4, align_corners=False)
    )
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32, 0] = image[:, 32:64, 1] = image[:, 64:, 2] = 255
    labels = segmenter(image)
    assert labels.shape == (64, 96) and labels.dtype == np.uint8
    assert [int(labels[32, column]) for column in (8, 48, 88)] == [0, 1, 2], labels[32]
    print(f"labels with NumPy {np.__version__}; others to be had: {found}, loaded: {loaded}")


if __name__ == "__main__":
    main()
