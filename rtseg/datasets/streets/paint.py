"""Drawing tools for the synthetic streets: a camera over a ground plane, and a canvas.

World coordinates are metres: x to the right, y up, z ahead; the camera is at (0, height, 0). The canvas holds red,
green, blue and the label in one array of four channels, so that every stroke paints picture and labels with exactly the
same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rtseg.datasets.streets.light import Floats, Light, Pixels, Point

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
VOID = 255

NEAR = 1.2
"""Metres in front of the camera at which everything is cut off."""

UP = (0.0, 1.0, 0.0)

LEAF_LIGHTS = np.array([[0.0], [0.15], [0.35], [0.6], [0.9]])
"""How much sun leaves get, from the inside of a crown to its rim."""

GLASS = np.array([38.0, 46.0, 56.0])
RUBBER = np.array([22.0, 22.0, 24.0])


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera. Lengths in the image are pixels."""

    height_px: int
    width_px: int
    focal: float
    horizon: float
    above_ground: float

    def project(self, points: Floats) -> Floats:
        """Return image coordinates (u, v) of world points whose last axis is x, y, z."""
        scale = self.focal / points[..., 2]
        image = np.empty((*points.shape[:-1], 2))
        image[..., 0] = self.width_px / 2 + points[..., 0] * scale
        image[..., 1] = self.horizon + (self.above_ground - points[..., 1]) * scale
        return image


class Canvas:
    """Picture and labels together. Strokes are painted back to front, each over the ones before."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.pixels: Pixels = np.zeros((camera.height_px, camera.width_px, 4), np.uint8)

    def face(self, points: Sequence[Point] | Floats, albedo: Floats, label: int, normal: Point = UP) -> None:
        """Paint one flat polygon."""
        corners = clipped(np.asarray(points, float))
        if len(corners) >= 3:
            paint = self._paint(albedo, label, normal, float(corners[:, 2].mean()))
            cv2.fillPoly(self.pixels, [self._pixels_of(corners)], paint)

    def faces(self, polygons: Floats, albedo: Floats, label: int, normal: Point = UP, glow: bool = False) -> None:
        """Paint many polygons of one colour that do not overlap, given as (polygons, corners, 3)."""
        polygons = polygons[polygons[..., 2].min(axis=1, initial=np.inf) > NEAR]
        if len(polygons):
            distance = float(polygons[..., 2].mean())
            paint = self._glow(albedo, label, distance) if glow else self._paint(albedo, label, normal, distance)
            cv2.fillPoly(self.pixels, list(self._pixels_of(polygons)), paint)

    def limb(self, start: Point, end: Point, thickness: float, albedo: Floats, label: int) -> None:
        """Paint a stroke with round ends, at least one pixel wide."""
        if min(start[2], end[2]) > NEAR:
            (x0, y0), (x1, y1) = self._pixels_of(np.asarray([start, end], float)).tolist()
            width = max(1, round(thickness * self.camera.focal / start[2]))
            cv2.line(self.pixels, (x0, y0), (x1, y1), self._paint(albedo, label, UP, start[2], 0.6), width)

    def disc(self, centre: Point, radius: float, albedo: Floats, label: int, glow: bool = False) -> None:
        """Paint a disc that faces the camera."""
        if centre[2] > NEAR:
            ((x, y),) = self._pixels_of(np.asarray([centre], float)).tolist()
            size = round(radius * self.camera.focal / centre[2])
            paint = self._glow(albedo, label, centre[2]) if glow else self._paint(albedo, label, UP, centre[2], 0.6)
            cv2.circle(self.pixels, (x, y), size, paint, -1)

    def ring(self, centre: Point, radius: float, thickness: float, albedo: Floats, label: int, squeeze: float) -> None:
        """Paint a circle's outline, narrowed sideways as if seen at an angle."""
        if centre[2] > NEAR:
            ((x, y),) = self._pixels_of(np.asarray([centre], float)).tolist()
            scale = self.camera.focal / centre[2]
            axes = (max(1, round(radius * squeeze * scale)), max(1, round(radius * scale)))
            width = max(1, round(thickness * scale))
            cv2.ellipse(self.pixels, (x, y), axes, 0, 0, 360, self._paint(albedo, label, UP, centre[2], 0.6), width)

    def upright(self, foot: Point, top: float, thickness: float, albedo: Floats, label: int) -> None:
        """Paint a vertical pole from its foot up to a height, lit from one side."""
        if foot[2] <= NEAR:
            return
        (u, low), (_, high) = self.camera.project(np.asarray([foot, (foot[0], top, foot[2])], float))
        width = max(1, round(thickness * self.camera.focal / foot[2]))
        left, first, last = round(u - width / 2), max(0, round(high)), max(0, round(low))
        lit = width // 2 if self.light.towards_sun[0] < 0 else width - width // 2
        for start, end, strength in ((left, left + lit, 0.9), (left + lit, left + width, 0.4)):
            paint = self._paint(albedo, label, UP, foot[2], strength)
            self.pixels[first:last, max(0, start) : max(0, end)] = paint

    def foliage(self, centre: Point, size: tuple[float, float], field: Floats, albedo: Floats, label: int) -> None:
        """Paint leaves where a field (n, n) is positive; its value is the light."""
        if centre[2] <= NEAR:
            return
        scale = self.camera.focal / centre[2]
        ((u, v),) = self.camera.project(np.asarray([centre], float))
        width, height = size[0] * scale, size[1] * scale
        left, top = max(0, int(u - width / 2)), max(0, int(v - height / 2))
        right = min(self.camera.width_px, int(u + width / 2) + 1)
        bottom = min(self.camera.height_px, int(v + height / 2) + 1)
        if right <= left or bottom <= top:
            return
        n = field.shape[0]
        fx, fy = n / width, n / height
        step = np.array(
            [
                [fx, 0, (left + 0.5 - u + width / 2) * fx - 0.5],
                [0, fy, (top + 0.5 - v + height / 2) * fy - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        local = cv2.warpAffine(
            field.astype(np.float32), step, (right - left, bottom - top), flags=flags, borderValue=-1
        )
        lit = albedo * (self.light.ambient + self.light.sun * LEAF_LIGHTS)
        tones = np.full((len(lit), 4), label, np.uint8)
        tones[:, :3] = np.minimum(self.light.through_haze(lit, centre[2]), 255)
        tone = np.clip(local * 12, 0, 4).astype(np.uint8)
        np.copyto(self.pixels[top:bottom, left:right], tones[tone], where=(local > 0)[..., None])

    def _pixels_of(self, points: Floats) -> npt.NDArray[np.int32]:
        image = np.rint(self.camera.project(points) - 0.5)
        whole: npt.NDArray[np.int32] = np.minimum(np.maximum(image, -1e6), 1e6).astype(np.int32)
        return whole

    def _paint(
        self, albedo: Floats, label: int, normal: Point, distance: float, facing: float | None = None
    ) -> tuple[float, ...]:
        if facing is None:
            colour = self.light.shade(albedo, normal, distance)
        else:
            colour = self.light.through_haze(albedo * (self.light.ambient + self.light.sun * facing), distance)
        return (*np.minimum(colour, 255.0).tolist(), label)

    def _glow(self, colour: Floats, label: int, distance: float) -> tuple[float, ...]:
        return (*np.minimum(self.light.through_haze(colour, distance), 255.0).tolist(), label)


def clipped(points: Floats) -> Floats:
    """Return the part of a polygon that lies beyond the near plane; it may be empty."""
    z = points[:, 2]
    if z.min() >= NEAR:
        return points
    kept: list[Floats] = []
    for here, there in zip(points, np.roll(points, -1, axis=0)):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            kept.append(here + (there - here) * ((NEAR - here[2]) / (there[2] - here[2])))
    return np.array(kept)
