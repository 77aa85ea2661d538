"""Fixed things in a synthetic street. Each paints itself and gives the box that casts its shadow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtseg.datasets.streets.light import Floats, Point, seeded
from rtseg.datasets.streets.paint import BUILDING, FENCE, GLASS, POLE, RUBBER, SIGN, TREE, Canvas


@dataclass(frozen=True)
class Building:
    """A house along the road: its front runs from near to far (x, z), its body away from the road."""

    near: tuple[float, float]
    far: tuple[float, float]
    side: int
    depth: float
    height: float
    pitch: float
    storey: float
    albedo: Floats
    seed: int

    def paint(self, canvas: Canvas) -> None:
        """Paint end wall, front, roof and windows."""
        random = seeded(self.seed)
        (x0, z0), (x1, z1), top = self.near, self.far, self.height
        back = x0 + self.side * self.depth
        wall = self.albedo
        canvas.face([(x0, 0, z0), (x0, top, z0), (back, top, z0), (back, 0, z0)], wall, BUILDING, (0, 0, -1))
        columns = max(1, round(self.depth / 3.5))
        ends = np.array([[x0, z0], [back, z0]])
        self._windows(canvas, random, ends, columns, (0, 0, -1), float(random.uniform(0, 0.6)))
        if self.pitch > 0:
            ridge = top + self.pitch
            roof = np.array([[112.0, 62.0, 50.0], [72.0, 72.0, 80.0], [96.0, 84.0, 72.0]])[random.integers(3)]
            middle = x0 + self.side * self.depth / 2
            shift = middle - x0
            canvas.face([(x0, top, z0), (middle, ridge, z0), (back, top, z0)], wall, BUILDING, (0, 0, -1))
            canvas.face(
                [(x0, top, z0), (x1, top, z1), (x1 + shift, ridge, z1), (middle, ridge, z0)],
                roof,
                BUILDING,
                (-self.side * 0.6, 0.8, 0.0),
            )
        normal = (float(-self.side), 0.0, 0.0)
        canvas.face([(x0, 0, z0), (x0, top, z0), (x1, top, z1), (x1, 0, z1)], wall, BUILDING, normal)
        front = np.array([self.near, self.far])
        self._windows(canvas, random, front, max(1, round((z1 - z0) / random.uniform(2.2, 4.0))), normal, 1.0)
        trim = wall * random.uniform(0.6, 1.25)
        courses = np.arange(self.storey, top - 1, self.storey) if random.random() < 0.5 else np.empty(0)
        lows = np.concatenate([[0.0, top - 0.35], courses])
        highs = np.concatenate([[0.5, top], courses + 0.18])
        bands = np.stack([np.zeros_like(lows), np.ones_like(lows), lows, highs], -1)
        for band in self._panels(front, bands):
            canvas.face(band, trim, BUILDING, normal)

    def _windows(
        self, canvas: Canvas, random: np.random.Generator, ends: Floats, columns: int, normal: Point, share: float
    ) -> None:
        storey = self.storey
        storeys = max(1, int(self.height / storey))
        margin, sill, head = random.uniform(0.12, 0.32), random.uniform(0.25, 0.4), random.uniform(0.75, 0.9)
        shops = bool(random.random() < 0.4)
        frame = np.clip(self.albedo * random.uniform(0.7, 1.4), 20, 240)
        left, low = (grid.ravel() for grid in np.meshgrid(np.arange(columns), np.arange(storeys)))
        kept = random.random(left.size) < share
        left, low = left[kept], low[kept]
        cells = np.stack(
            [(left + margin) / columns, (left + 1 - margin) / columns, (low + sill) * storey, (low + head) * storey], -1
        )
        if shops:
            cells[low == 0, 2] = 0.5
        grown = cells + np.array([-0.12 / columns, 0.12 / columns, -0.12, 0.12])
        canvas.faces(self._panels(ends, grown), frame, BUILDING, normal)
        kind = random.random(len(cells))
        reflecting = canvas.light.zenith * random.uniform(0.3, 0.75) / max(1.0, float(canvas.light.ambient.mean()))
        glow = canvas.light.night
        lamp = np.array([255.0, 214.0, 140.0])
        canvas.faces(self._panels(ends, cells[kind < 0.55]), GLASS, BUILDING, normal)
        canvas.faces(self._panels(ends, cells[(kind >= 0.55) & (kind < 0.8)]), reflecting * 0.5, BUILDING, normal)
        canvas.faces(self._panels(ends, cells[kind >= 0.8]), lamp if glow else GLASS * 2.4, BUILDING, normal, glow)

    def _panels(self, ends: Floats, cells: Floats) -> Floats:
        start, run = ends[0], ends[1] - ends[0]
        panels = np.empty((len(cells), 4, 3))
        for corner, (along, up) in enumerate(((0, 2), (0, 3), (1, 3), (1, 2))):
            panels[:, corner, 0] = start[0] + run[0] * cells[:, along]
            panels[:, corner, 1] = np.minimum(cells[:, up], self.height)
            panels[:, corner, 2] = start[1] + run[1] * cells[:, along]
        return panels


@dataclass(frozen=True)
class Tree:
    """A trunk with one or more crowns of leaves; no trunk makes a bush."""

    place: tuple[float, float]
    trunk: float
    height: float
    spread: float
    albedo: Floats
    crowns: tuple[Floats, ...]
    seed: int

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        (x, z), half = self.place, self.spread * 0.35
        return (x - half, z - half), (x + half, z + half), self.height * 0.9

    def paint(self, canvas: Canvas) -> None:
        """Paint trunk, boughs and leaves."""
        random = seeded(self.seed)
        x, z = self.place
        bark = np.array([82.0, 66.0, 50.0]) * random.uniform(0.6, 1.2)
        if self.trunk > 0:
            canvas.upright((x, 0.0, z), self.trunk + self.height * 0.2, 0.1 + 0.035 * self.height, bark, TREE)
            for _ in range(4):
                fork = (x, self.trunk * random.uniform(0.8, 1.0), z)
                tip = (
                    x + random.uniform(-0.35, 0.35) * self.spread,
                    self.trunk + random.uniform(0.1, 0.5) * self.height,
                    z,
                )
                canvas.limb(fork, tip, 0.12, bark, TREE)
        body = self.height - self.trunk
        for order in range(3):
            crown = self.crowns[int(random.integers(len(self.crowns)))]
            crown = crown[:, ::-1] if random.random() < 0.5 else crown
            dx, dy, size = random.uniform(-0.2, 0.2) * self.spread, random.uniform(0.4, 0.62), random.uniform(0.8, 1.15)
            tint = self.albedo * (0.75 + 0.18 * order)
            place = (x + dx, self.trunk + dy * body, z)
            canvas.foliage(place, (self.spread * size, body * size * 1.15), np.ascontiguousarray(crown), tint, TREE)


@dataclass(frozen=True)
class Pole:
    """A lamp post or mast. Reach is how far its arm extends over x."""

    place: tuple[float, float]
    height: float
    thickness: float
    reach: float
    albedo: Floats

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        (x, z), half = self.place, self.thickness / 2
        return (x - half, z), (x + half, z + half), self.height

    def paint(self, canvas: Canvas) -> None:
        """Paint the mast and its arm, whose lamp glows at night."""
        x, z = self.place
        canvas.upright((x, 0.0, z), self.height, self.thickness, self.albedo, POLE)
        if self.reach:
            tip = (x + self.reach, self.height + 0.25, z)
            canvas.limb((x, self.height - 0.1, z), tip, self.thickness * 0.7, self.albedo, POLE)
            lamp = np.array([255.0, 235.0, 190.0])
            canvas.disc(tip, 0.14, lamp if canvas.light.night else self.albedo * 1.3, POLE, canvas.light.night)


SIGN_TINTS = np.array(
    [[196.0, 30.0, 34.0], [30.0, 72.0, 170.0], [226.0, 186.0, 30.0], [232.0, 232.0, 228.0], [30.0, 110.0, 62.0]]
)


@dataclass(frozen=True)
class Sign:
    """A pole with a plate (disc, triangle, board) or a traffic light."""

    place: tuple[float, float]
    kind: str
    height: float
    size: float
    seed: int

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        (x, z) = self.place
        return (x - 0.05, z), (x + 0.05, z + 0.05), self.height

    def paint(self, canvas: Canvas) -> None:
        """Paint the pole, then the plate in front of it."""
        random = seeded(self.seed)
        (x, z), y, r = self.place, self.height, self.size / 2
        rim, inner = SIGN_TINTS[random.integers(3)], SIGN_TINTS[int(random.integers(5))]
        canvas.upright((x, 0.0, z), y, 0.08, np.full(3, random.uniform(70, 170)), POLE)
        towards = (0.0, 0.3, -0.9)
        if self.kind == "light":
            box = [(x - 0.2, y - 0.5, z), (x - 0.2, y + 0.6, z), (x + 0.2, y + 0.6, z), (x + 0.2, y - 0.5, z)]
            canvas.face(box, RUBBER, SIGN, towards)
            lit = int(random.integers(3))
            for order, tint in enumerate(([235.0, 40.0, 30.0], [240.0, 180.0, 40.0], [50.0, 220.0, 120.0])):
                lamp = np.array(tint) * (1.0 if order == lit else 0.2)
                canvas.disc((x, y + 0.4 - 0.36 * order, z), 0.12, lamp, SIGN, order == lit)
        elif self.kind == "disc":
            canvas.disc((x, y, z), r, rim, SIGN)
            canvas.disc((x, y, z), r * 0.72, inner, SIGN)
        else:
            corners = 3 if self.kind == "triangle" else 4
            shape = (
                [(0.0, 1.1), (1.0, -0.7), (-1.0, -0.7)]
                if corners == 3
                else [(-1.0, 0.8), (1.0, 0.8), (1.0, -0.8), (-1.0, -0.8)]
            )
            for scale, tint in ((1.0, rim), (0.68, inner)):
                canvas.face([(x + dx * r * scale, y + dy * r * scale, z) for dx, dy in shape], tint, SIGN, towards)


@dataclass(frozen=True)
class Fence:
    """Panels, rails or bars between two points (x, z)."""

    near: tuple[float, float]
    far: tuple[float, float]
    kind: str
    height: float
    albedo: Floats

    def paint(self, canvas: Canvas) -> None:
        """Paint the parts that this kind of fence has."""
        (x0, z0), (x1, z1), top = self.near, self.far, self.height
        normal = (-1.0 if x0 > 0 else 1.0, 0.0, 0.0)

        def band(starts: Floats, ends: Floats, low: float, high: float) -> Floats:
            quads = np.empty((len(starts), 4, 3))
            for corner, (along, y) in enumerate(((starts, low), (starts, high), (ends, high), (ends, low))):
                quads[:, corner, 0] = x0 + (x1 - x0) * along
                quads[:, corner, 1] = y
                quads[:, corner, 2] = z0 + (z1 - z0) * along
            return quads

        pieces = max(1, round((z1 - z0) / (2.0 if self.kind != "bars" else 0.16)))
        steps = np.arange(pieces) / pieces
        whole = np.array([0.0])
        if self.kind == "panels":
            canvas.faces(band(steps, steps + 0.96 / pieces, 0.05, top), self.albedo, FENCE, normal)
            canvas.faces(band(steps, steps + 0.08 / pieces, 0.0, top * 1.08), self.albedo * 0.6, FENCE, normal)
        else:
            thin = (0.35 if self.kind == "bars" else 0.06) / pieces
            canvas.faces(band(steps, steps + thin, 0.0, top), self.albedo, FENCE, normal)
            lines = ((0.08, 0.2), (0.86, 1.0)) if self.kind == "bars" else ((0.2, 0.42), (0.72, 1.0))
            for low, high in lines:
                for start in steps[:: 12 if self.kind == "bars" else 1]:
                    canvas.face(
                        band(
                            whole + start,
                            whole + min(1.0, start + (12 if self.kind == "bars" else 1) / pieces),
                            low * top,
                            high * top,
                        )[0],
                        self.albedo * 1.1,
                        FENCE,
                        normal,
                    )
