"""The parts of a synthetic street that fill whole areas: sky and ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtseg.datasets.streets.light import Floats, noise_field
from rtseg.datasets.streets.paint import NEAR, PAVEMENT, ROAD, SKY, TREE, Canvas, clipped


@dataclass(frozen=True)
class Road:
    """A road on the ground plane: the course of its middle and the widths of its parts. Lengths are metres."""

    offset: float
    slope: float
    bend: float
    half_width: float
    pavements: tuple[float, float]
    junctions: tuple[tuple[float, float], ...]
    grass: tuple[bool, bool]
    crossing: bool
    dashes: tuple[float, float]
    albedos: tuple[Floats, Floats, Floats, Floats]

    def middle(self, z: float) -> float:
        """Return the x of the road's middle at a distance."""
        return self.offset + self.slope * z + 0.5 * self.bend * min(z, 120.0) ** 2 / 100

    def edge(self, side: int) -> float:
        """Return how far from the middle the pavement ends on a side, -1 or 1."""
        return self.half_width + self.pavements[(side + 1) // 2]

    def open_between(self, start: float, end: float) -> bool:
        """Return whether no junction lies between two distances."""
        return all(end <= first or start >= last for first, last in self.junctions)


def paint_sky(canvas: Canvas, random: np.random.Generator, cloudiness: float) -> None:
    """Fill everything above the horizon, and a little below, with a gradient and clouds."""
    camera, light = canvas.camera, canvas.light
    rows = min(camera.height_px, int(camera.horizon) + 2)
    height = np.clip(1 - (np.arange(rows) + 0.5) / camera.horizon, 0, 1)[:, None, None]
    colour = light.haze * (1 - height**0.7) + light.zenith * height**0.7
    clouds = noise_field(random, rows, camera.width_px, (3, 6, 12, 24))
    cover = np.clip(clouds * 0.9 + 2.2 * cloudiness - 1.0, 0, 1)[..., None] * np.float32(0.75)
    white = light.haze * 0.6 + 255 * 0.4 * (0.25 if light.night else 1.0)
    canvas.pixels[:rows, :, :3] = np.clip(colour * (1 - cover) + white * cover, 0, 255)
    canvas.pixels[:rows, :, 3] = SKY


def paint_ground(canvas: Canvas, random: np.random.Generator, road: Road, shadows: list[Floats]) -> None:
    """Fill everything below the horizon with road, pavement and verge, under shadows given as (corners, 3)."""
    camera, light = canvas.camera, canvas.light
    first = max(0, int(np.floor(camera.horizon)))
    drop = np.maximum(np.arange(first, camera.height_px) + 0.5 - camera.horizon, 0.05)
    z = np.minimum(camera.focal * camera.above_ground / drop, 600.0).astype(np.float32)[:, None]
    x = (np.arange(camera.width_px, dtype=np.float32)[None] + 0.5 - camera.width_px / 2) * (z / camera.focal)
    middle = road.offset + road.slope * z + 0.5 * road.bend * np.minimum(z, 120) ** 2 / 100
    across = x - middle.astype(np.float32)

    zone = np.full(across.shape, 0, np.uint8)
    edges = (-road.edge(-1), -road.half_width - 0.15, -road.half_width, road.half_width, road.half_width + 0.15)
    for edge in (*edges, road.edge(1)):
        zone += across > edge
    for start, end in road.junctions:
        zone[((z > start) & (z < end))[:, 0]] = 3
    asphalt, slabs, kerb, verge = road.albedos
    ends = [(verge, TREE) if grass else (slabs * 0.85, PAVEMENT) for grass in road.grass]
    zones = [
        ends[0],
        (slabs, PAVEMENT),
        (kerb, PAVEMENT),
        (asphalt, ROAD),
        (kerb, PAVEMENT),
        (slabs, PAVEMENT),
        ends[1],
    ]
    labels = np.array([label for _, label in zones], np.uint8)[zone]
    albedo = np.array([colour for colour, _ in zones], np.float32)[zone]
    _paint_marks(albedo, across, z, road)

    tile = noise_field(random, 256, 512, (8, 32, 128)).astype(np.float32)
    drift = cv2.remap(
        tile, np.mod(across * 9, 512), np.mod(np.broadcast_to(z * 4, across.shape), 256), cv2.INTER_LINEAR
    )
    albedo *= (1 + drift * (0.09 * np.minimum(1, 12 / z)))[..., None]

    shade = np.zeros(across.shape, np.uint8)
    for corners in shadows:
        corners = clipped(corners)
        if len(corners) >= 3:
            points = np.clip(camera.project(corners) - (0, first), -1e6, 1e6)
            cv2.fillPoly(shade, [points.astype(np.int32)], 255)
    lit = cv2.blur(shade, (3, 3)).astype(np.float32)[..., None] * np.float32(-1 / 255) + 1
    albedo *= light.ambient.astype(np.float32) + lit * (light.sun * light.towards_sun[1]).astype(np.float32)
    clear = np.exp(-light.haze_per_metre * z)[..., None]
    canvas.pixels[first:, :, :3] = np.clip(albedo * clear + light.haze.astype(np.float32) * (1 - clear), 0, 255)
    canvas.pixels[first:, :, 3] = labels


def _paint_marks(albedo: Floats, across: Floats, z: Floats, road: Road) -> None:
    white = np.float32(205)
    on, period = road.dashes
    plain = np.ones(z.shape, bool)
    for start, end in road.junctions:
        plain &= (z < start - 2) | (z > end + 2)
    albedo[(np.abs(across) < 0.08) & (np.mod(z, period) < on) & plain] = white
    albedo[(np.abs(np.abs(across) - road.half_width + 0.3) < 0.06) & plain & (road.pavements[0] > 2.2)] = white
    if road.crossing:
        for start, _ in road.junctions[:1]:
            band = (z > start - 4.5) & (z < start - 1.2)
            albedo[band & (np.abs(across) < road.half_width - 0.2) & (np.mod(across, 1.0) < 0.5)] = white
    joints = (np.mod(across, 0.9) < 0.04) | (np.mod(z, 0.9) < 0.05)
    flags = joints & (np.abs(across) > road.half_width) & (z < 22) & plain
    albedo[flags] *= np.float32(0.82)


def shadow_of_box(low: tuple[float, float], high: tuple[float, float], top: float, towards_sun: Floats) -> Floats:
    """Return the shadow on the ground, as (corners, 3), of a box given by two corners (x, z) and its height."""
    fall = -towards_sun / max(towards_sun[1], 0.12) * top
    foot = np.array([(x, z) for x in (low[0], high[0]) for z in (low[1], high[1])], np.float32)
    hull = cv2.convexHull(np.concatenate([foot, foot + np.array([fall[0], fall[2]], np.float32)]))[:, 0]
    shadow = np.zeros((len(hull), 3))
    shadow[:, 0], shadow[:, 2] = hull[:, 0], np.maximum(hull[:, 1], NEAR / 4)
    return shadow
