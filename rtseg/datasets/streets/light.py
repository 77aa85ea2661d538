"""The light in a synthetic street, and the effects of a lens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float, float]

SHARPNESS_ROWS = 256
"""Blur is given in pixels for an image of this height, and grows with the image."""

TEXTURE_STRENGTHS = (0.0, 0.05, 0.03, 0.03, 0.03, 0.16, 0.02, 0.07, 0.03, 0.08, 0.06)
"""How grainy each class is, in the order of the classes."""


def seeded(*numbers: int) -> np.random.Generator:
    """Return the random generator that all synthetic streets use."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(numbers)))


@dataclass(frozen=True)
class Light:
    """How light changes colours: ambient plus sun, then haze with distance. Colours are RGB, 0 to 255."""

    ambient: Floats
    sun: Floats
    towards_sun: Floats
    haze: Floats
    haze_per_metre: float
    zenith: Floats
    night: bool

    def shade(self, albedo: Floats, normal: Point, distance: float) -> Floats:
        """Return the colour of a matt surface."""
        facing = max(0.0, sum(float(a) * b for a, b in zip(self.towards_sun, normal)))
        return self.through_haze(albedo * (self.ambient + self.sun * facing), distance)

    def through_haze(self, colour: Floats, distance: float) -> Floats:
        """Return a colour seen from a distance."""
        clear = math.exp(-self.haze_per_metre * distance)
        return colour * clear + self.haze * (1 - clear)


@dataclass(frozen=True)
class Lens:
    """The effects on the finished picture. Key is the mean level that the exposure aims at, of 255."""

    gains: Floats
    key: float
    gamma: float
    blur: float
    noise: float
    bloom: float
    vignette: float


def develop(pixels: Pixels, random: np.random.Generator, lens: Lens) -> tuple[Pixels, Pixels]:
    """Return the picture with texture and lens effects, and its unchanged labels."""
    height, width = pixels.shape[:2]
    labels = np.ascontiguousarray(pixels[..., 3])
    strengths = np.full(256, 0.02, np.float32)
    strengths[: len(TEXTURE_STRENGTHS)] = TEXTURE_STRENGTHS
    grain = noise_field(random, height, width, (12, 48, 120)).astype(np.float32)
    grain = 1 + strengths[labels] * grain
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    grain *= 1 - np.float32(lens.vignette) * (x * x + y * y) / 2
    colour = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB).astype(np.float32)
    colour *= grain[..., None]
    if lens.bloom > 0:
        small = cv2.resize(colour, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(np.maximum(small - 150, 0), (0, 0), max(0.5, height / 8 / 24))
        colour += cv2.resize(small, (width, height)) * np.float32(lens.bloom)
    sigma = lens.blur * height / SHARPNESS_ROWS
    if sigma > 0.2:
        colour = cast(Floats, cv2.GaussianBlur(colour, (0, 0), sigma))
    speckle = np.empty(colour.shape, np.float32)
    random.standard_normal(out=speckle[: (height + 1) // 2], dtype=np.float32)
    speckle[(height + 1) // 2 :] = speckle[: height // 2, ::-1]
    colour += speckle * np.float32(lens.noise)
    mean = float(np.mean(colour[::8, ::8]))
    exposure = (lens.key / max(mean, 5.0)) ** 0.7
    levels = np.arange(256) / 255 * exposure
    curves = [np.clip(255 * np.clip(levels * gain, 0, 1) ** lens.gamma, 0, 255) for gain in lens.gains]
    table = np.rint(np.stack(curves, axis=-1)).astype(np.uint8)[None]
    picture = cv2.LUT(np.clip(colour, 0, 255).astype(np.uint8), table)
    return cast(Pixels, picture), labels


def weather(random: np.random.Generator) -> tuple[Light, Lens, float]:
    """Return the light of one day, the lens, and how cloudy it is, from 0 to 1."""
    kind = ("sun", "sun", "overcast", "dusk", "night")[int(random.choice(5, p=[0.25, 0.25, 0.27, 0.15, 0.08]))]
    turn = random.uniform(0, 2 * np.pi)
    rise = random.uniform(0.35, 1.1) if kind == "sun" else random.uniform(0.15, 0.4)
    towards = np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)])
    cloudiness = float(random.uniform(0.0, 0.6))
    strength = float(random.uniform(0.8, 1.2))
    if kind == "sun":
        ambient, sun = np.array([0.4, 0.44, 0.52]) * strength, np.array([1.0, 0.92, 0.78]) * strength
        zenith, haze = np.array([84.0, 132.0, 205.0]), np.array([196.0, 212.0, 228.0])
    elif kind == "overcast":
        ambient, sun = np.array([0.8, 0.82, 0.86]) * strength, np.array([0.12, 0.12, 0.12])
        zenith, haze = np.array([176.0, 182.0, 190.0]), np.array([206.0, 208.0, 212.0])
        cloudiness = float(random.uniform(0.4, 1.0))
    elif kind == "dusk":
        ambient, sun = np.array([0.36, 0.34, 0.42]) * strength, np.array([0.75, 0.45, 0.24]) * strength
        zenith, haze = np.array([70.0, 82.0, 128.0]), np.array([214.0, 160.0, 122.0])
    else:
        ambient, sun = np.array([0.22, 0.23, 0.3]) * strength, np.array([0.05, 0.05, 0.06])
        zenith, haze = np.array([14.0, 18.0, 36.0]), np.array([46.0, 48.0, 64.0])
    tint = random.uniform(0.93, 1.07, 3)
    density = float(random.choice([0.0015, 0.004, 0.012])) * float(random.uniform(0.7, 1.5))
    light = Light(ambient * tint, sun, towards, haze * tint, density, zenith * tint, kind == "night")
    lens = Lens(
        gains=random.uniform(0.92, 1.08, 3) * random.uniform(0.8, 1.2),
        key=62.0 if kind == "night" else 92.0 if kind == "dusk" else 108.0,
        gamma=float(random.uniform(0.8, 1.25)),
        blur=float(random.uniform(0.25, 0.75)),
        noise=float(random.uniform(1.5, 6.0)) * (1.6 if kind == "night" else 1.0),
        bloom=0.7 if kind == "night" else float(random.uniform(0.0, 0.15)),
        vignette=float(random.uniform(0.0, 0.35)),
    )
    return light, lens, cloudiness


def noise_field(random: np.random.Generator, height: int, width: int, octaves: Sequence[int]) -> Floats:
    """Return smooth noise of mean 0 and deviation about 1: a sum of grids of so many cells; finer grids weigh less."""
    total = np.zeros((height, width), np.float32)
    for order, cells in enumerate(octaves):
        grid = random.standard_normal((cells, 2 * cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.75**order)
    total /= np.float32(sum(0.5625**order for order in range(len(octaves))) ** 0.5)
    return total


def leaf_field(random: np.random.Generator, cells: int = 96) -> Floats:
    """Return a crown for Canvas.foliage: a ragged blob with holes, brighter above."""
    y, x = np.mgrid[-1 : 1 : cells * 1j, -1 : 1 : cells * 1j]
    blob = 0.62 - np.hypot(x * random.uniform(0.75, 1.0), y)
    lumps = noise_field(random, cells, cells, (4, 8)) * 0.13
    leaves = noise_field(random, cells, cells, (24, 48)) * 0.1
    crown: Floats = blob + lumps + leaves
    crown = crown * 0.7 + np.where(crown > 0, -0.06 * y + leaves * 0.5, 0.0)
    return crown
