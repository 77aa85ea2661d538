"""Training samples: a picture scaled, cropped, mirrored and with changed colours, by its own random generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtseg.datasets.labelled import Image, LabelledImage, Labels
from rtseg.frame.geometry import resize_labels
from rtseg.images.files import resize_image
from rtseg.training.recipe import TrainingRecipe

Generator = np.random.Generator


def augmented(item: LabelledImage, recipe: TrainingRecipe, ignore_index: int, rng: Generator) -> tuple[Image, Labels]:
    """Return a uint8 (height, width, 3) sample of the recipe's crop size with its labels.

    The picture is scaled (bilinear; labels nearest) and a window is cropped at random. If the scaled picture is smaller
    than the crop, the rest is black and ignored.
    """
    scale = float(np.exp(rng.uniform(np.log(recipe.scale_min), np.log(recipe.scale_max))))
    height, width = (max(1, round(side * scale)) for side in item.labels.shape)
    crop = recipe.crop_resolution
    top, left = (
        int(rng.integers(0, max(0, have - want) + 1)) for have, want in ((height, crop.height), (width, crop.width))
    )
    image = resize_image(item.image, height, width)[top : top + crop.height, left : left + crop.width]
    labels = resize_labels(item.labels, height, width)[top : top + crop.height, left : left + crop.width]
    if recipe.flip and rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if recipe.jitter:
        image = _relit(image, recipe.jitter, rng)
    return _padded(image, crop.height, crop.width, 0), _padded(labels, crop.height, crop.width, ignore_index)


def _padded(pixels: NDArray[np.uint8], height: int, width: int, fill: int) -> NDArray[np.uint8]:
    out = np.full((height, width, *pixels.shape[2:]), fill, np.uint8)
    out[: pixels.shape[0], : pixels.shape[1]] = pixels
    return out


def _relit(image: Image, strength: float, rng: Generator) -> Image:
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    values = image.astype(np.float32) * brightness
    values = (values - values.mean()) * contrast + values.mean()
    grey = values.mean(2, keepdims=True)
    relit: Image = np.clip((values - grey) * saturation + grey, 0, 255).astype(np.uint8)
    return relit
