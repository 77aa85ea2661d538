"""What the two ends have to give, by PyTorch and in FP64, in other words than theirs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from rtseg.frame.window import Window, window_of
from rtseg.specs import ImageSpec


def fitted_tensor(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Return the network's input, float32 (3, height, width), of an image in the spec's order of channels."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
    window = placed(spec, *image.shape[:2])
    resized = F.interpolate(planes, size=(window.height, window.width), mode="bilinear", align_corners=False)[0]
    canvas = torch.full((3, spec.height, spec.width), float(spec.padding))
    canvas[:, window.top : window.top + window.height, window.left : window.left + window.width] = resized
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return ((canvas * spec.scale - mean) / std).numpy()


def placed(spec: ImageSpec, height: int, width: int) -> Window:
    """Return the part of the network's input that an image covers, the whole too."""
    return window_of(spec, height, width) or Window(spec.height, spec.width, 0, 0, spec.height, spec.width)


def scores_at(logits: np.ndarray, window: Window, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Return the scores, float64 (classes, *size), of an image's pixels, each where it lies on the canvas."""

    def positions(inputs: int, outputs: int, canvas: int, begin: int, length: int) -> np.ndarray:
        pixel = np.arange(outputs, dtype=np.float64)
        if align_corners:
            on_canvas = begin + (pixel * (length - 1) / (outputs - 1) if outputs > 1 else pixel)
            return on_canvas * (inputs - 1) / (canvas - 1) if canvas > 1 else on_canvas
        on_canvas = begin + (pixel + 0.5) * length / outputs
        return np.clip(on_canvas * inputs / canvas - 0.5, 0, inputs - 1)

    _, h, w = logits.shape
    rows, columns = positions(h, size[0], *window.rows), positions(w, size[1], *window.columns)
    top, left = np.minimum(rows.astype(int), max(h - 2, 0)), np.minimum(columns.astype(int), max(w - 2, 0))
    down, right = (rows - top)[:, None], columns - left
    below, beside = np.minimum(top + 1, h - 1), np.minimum(left + 1, w - 1)
    wide = logits.astype(np.float64)
    upper = wide[:, top][:, :, left] * (1 - right) + wide[:, top][:, :, beside] * right
    lower = wide[:, below][:, :, left] * (1 - right) + wide[:, below][:, :, beside] * right
    return upper * (1 - down) + lower * down


def lost_by(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return how far the score of a label is below the best one, at the worst pixel."""
    got = np.take_along_axis(scores, labels[None].astype(np.intp), axis=0)[0]
    return float((scores.max(axis=0) - got).max())


def beside_threshold(channel: np.ndarray, threshold: float) -> np.ndarray:
    """Return the scores (2, h, w) whose argmax is what a channel (1, h, w) and a threshold give."""
    return np.concatenate([np.full_like(channel, threshold), channel])
