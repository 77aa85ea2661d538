"""Labels for a tensor of PyTorch, as a tensor of PyTorch: both share their memory with NumPy, so nothing is copied.

Usage: python examples/torch_tensors.py MODEL.onnx
"""

from __future__ import annotations

import sys

import torch

import rtseg


def label(segmenter: rtseg.Segmenter, image: torch.Tensor) -> torch.Tensor:
    """Return the label map, uint8 (height, width), of a uint8 RGB (height, width, 3) tensor in host memory.

    A part of a larger tensor, image[10:90, 20:60], is read where it lies. Planes first, as torchvision has
    them, come in as image.permute(1, 2, 0), and are copied once. On a GPU, Segmenter.bind_device takes tensors.
    """
    return torch.from_numpy(segmenter(image.numpy()))


if __name__ == "__main__":
    with rtseg.load(sys.argv[1]) if len(sys.argv) > 1 else sys.exit(__doc__) as labeller:
        labels = label(labeller, torch.randint(0, 256, (480, 640, 3), dtype=torch.uint8))
        for name, count in zip(labeller.output.classes.names, torch.bincount(labels.flatten()).tolist()):
            print(f"{name}: {count / labels.numel():.1%}")
