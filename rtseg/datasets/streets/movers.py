"""Moving things in a synthetic street: vehicles, pedestrians and cyclists. Each paints itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtseg.datasets.streets.light import Floats, Point, seeded
from rtseg.datasets.streets.paint import BICYCLIST, CAR, GLASS, PEDESTRIAN, RUBBER, Canvas

SKINS = np.array([[224.0, 180.0, 150.0], [170.0, 120.0, 90.0], [95.0, 62.0, 45.0]])

CAR_SHAPES: dict[str, tuple[tuple[float, float, bool], ...]] = {
    "hatchback": (
        (0.0, 0.32, False),
        (0.0, 0.9, True),
        (0.35, 1.42, False),
        (2.2, 1.46, True),
        (3.0, 0.98, False),
        (4.0, 0.78, False),
        (4.1, 0.34, False),
    ),
    "saloon": (
        (0.0, 0.32, False),
        (0.0, 0.92, False),
        (0.8, 0.98, True),
        (1.35, 1.4, False),
        (2.7, 1.43, True),
        (3.4, 0.96, False),
        (4.5, 0.8, False),
        (4.6, 0.34, False),
    ),
    "van": (
        (0.0, 0.35, False),
        (0.0, 1.1, True),
        (0.1, 1.9, False),
        (3.7, 2.0, True),
        (4.4, 1.15, False),
        (5.0, 0.95, False),
        (5.1, 0.35, False),
    ),
    "truck": (
        (0.0, 0.6, False),
        (0.0, 3.2, False),
        (6.2, 3.2, False),
        (7.4, 2.7, True),
        (7.6, 1.5, False),
        (7.7, 0.4, False),
    ),
    "bus": (
        (0.0, 0.4, False),
        (0.0, 1.3, True),
        (0.05, 3.0, False),
        (10.4, 3.0, True),
        (10.6, 1.1, False),
        (10.6, 0.4, False),
    ),
}
CAR_WIDTHS = {"hatchback": 1.7, "saloon": 1.75, "van": 1.95, "truck": 2.4, "bus": 2.5}


@dataclass(frozen=True)
class Vehicle:
    """A car, van, truck or bus. Place is the (x, z) of its middle; heading 0 drives away from the camera."""

    shape: str
    place: tuple[float, float]
    heading: float
    albedo: Floats
    seed: int

    @property
    def length(self) -> float:
        """Metres from bumper to bumper."""
        return CAR_SHAPES[self.shape][-1][0]

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        half = CAR_WIDTHS[self.shape] / 2
        ends = [self._world(along, 0.0, across) for along in (0.0, self.length) for across in (-half, half)]
        xs, zs = [point[0] for point in ends], [point[2] for point in ends]
        return (min(xs), min(zs)), (max(xs), max(zs)), 1.3 if self.length < 5 else 2.6

    def paint(self, canvas: Canvas) -> None:
        """Paint wheels, the visible faces of the body, glass and lights."""
        random = seeded(self.seed)
        half, profile = CAR_WIDTHS[self.shape] / 2, CAR_SHAPES[self.shape]
        low = [
            self._world(a, 0.12, w)
            for a, w in ((0.3, -half), (0.3, half), (self.length - 0.3, half), (self.length - 0.3, -half))
        ]
        canvas.face(low, RUBBER * 0.5, CAR)
        for along in sorted((0.75, self.length - 0.8), key=lambda a: -self._world(a, 0.0, 0.0)[2]):
            for across in (-half + 0.12, half - 0.12):
                tyre = [
                    self._world(along - 0.3, y, across + w)
                    for y, w in ((0.0, -0.1), (0.6, -0.1), (0.6, 0.1), (0.0, 0.1))
                ]
                canvas.face(tyre, RUBBER, CAR, (0, 0, -1))
        strips = []
        for (a0, y0, glass), (a1, y1, _) in zip(profile, profile[1:]):
            w0, w1 = half * _narrowing(y0), half * _narrowing(y1)
            corners = np.array(
                [self._world(a0, y0, -w0), self._world(a1, y1, -w1), self._world(a1, y1, w1), self._world(a0, y0, w0)]
            )
            normal = self._turned(-(y1 - y0), a1 - a0)
            if np.dot(normal, corners.mean(0) - (0, canvas.camera.above_ground, 0)) < 0:
                strips.append((float(corners[:, 2].mean()), corners, normal, glass))
        for _, corners, normal, glass in sorted(strips, key=lambda strip: -strip[0]):
            canvas.face(corners, self.albedo, CAR, normal)
            if glass:
                middle = corners.mean(0)
                canvas.face(middle + (corners - middle) * 0.86, GLASS * 1.2, CAR, normal)
        self._paint_side(canvas, random, half)
        self._paint_ends(canvas, random, half)

    def _paint_side(self, canvas: Canvas, random: np.random.Generator, half: float) -> None:
        across = -(self.place[0] * np.cos(self.heading) - self.place[1] * np.sin(self.heading))
        if abs(across) <= half:
            return
        side = 1.0 if across > 0 else -1.0
        normal_end = (side * np.cos(self.heading), 0.0, -side * np.sin(self.heading))
        profile = CAR_SHAPES[self.shape]
        outline = [self._world(a, y, side * half * _narrowing(y)) for a, y, _ in profile]
        canvas.face(outline, self.albedo, CAR, normal_end)
        top = max(y for _, y, _ in profile)
        belt = {"truck": 1.9, "bus": 1.35, "van": 1.2}.get(self.shape, 0.98)
        start, end = {"truck": (6.4, 7.3), "bus": (0.3, 10.3), "van": (2.6, 4.2)}.get(
            self.shape, (0.45, profile[-3][0] - 0.15)
        )
        roof = top - 0.12 if self.shape != "truck" else 2.6
        panes = {"bus": 7, "hatchback": 2, "saloon": 2}.get(self.shape, 1)
        slant = 0.35 if panes == 2 else 0.0
        for pane in range(panes):
            a0, a1 = (start + (end - start) * (pane + k) / panes for k in (0.04, 0.96))
            lean0, lean1 = slant * (pane == 0), slant * 1.6 * (pane == panes - 1)
            quad = ((a0, belt), (a0 + lean0, roof), (a1 - lean1, roof), (a1, belt))
            canvas.face([self._world(a, y, side * half * _narrowing(y)) for a, y in quad], GLASS, CAR, normal_end)
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        radius = 0.33 if self.length < 6 else 0.48
        for along in (0.8, self.length - 0.85):
            for size, tint in ((1.0, RUBBER), (0.55, RUBBER * 5 + random.uniform(0, 40))):
                rim = [
                    self._world(
                        along + radius * size * np.cos(t), radius + radius * size * np.sin(t), side * half * 1.01
                    )
                    for t in turn
                ]
                canvas.face(rim, tint, CAR, normal_end)

    def _paint_ends(self, canvas: Canvas, random: np.random.Generator, half: float) -> None:
        ahead = -(self.place[0] * np.sin(self.heading) + self.place[1] * np.cos(self.heading))
        if abs(ahead) <= self.length / 2:
            return
        rear = ahead < 0
        along = -0.02 if rear else self.length + 0.02
        low, high = (0.62, 0.82) if self.length < 6 else (0.75, 1.0)
        lit = canvas.light.night or random.random() < 0.25
        tint = np.array([215.0, 30.0, 25.0]) if rear else np.array([250.0, 245.0, 220.0])
        lamps = np.array(
            [
                [
                    self._world(along, y, s * w)
                    for y, w in ((low, 0.6 * half), (high, 0.6 * half), (high, 0.94 * half), (low, 0.94 * half))
                ]
                for s in (-1, 1)
            ]
        )
        normal = self._turned(-1.0 if rear else 1.0, 0.0)
        canvas.faces(lamps, tint if lit else tint * 0.7, CAR, normal, lit)
        plate = [[self._world(along, y, w) for y, w in ((0.42, -0.26), (0.54, -0.26), (0.54, 0.26), (0.42, 0.26))]]
        canvas.faces(np.array(plate), np.array([215.0, 205.0, 150.0]), CAR, normal)

    def _world(self, along: float, up: float, across: float) -> Point:
        sine, cosine = np.sin(self.heading), np.cos(self.heading)
        ahead = along - self.length / 2
        return (self.place[0] + ahead * sine + across * cosine, up, self.place[1] + ahead * cosine - across * sine)

    def _turned(self, along: float, up: float) -> Point:
        size = float(np.hypot(along, up)) or 1.0
        return (along / size * float(np.sin(self.heading)), up / size, along / size * float(np.cos(self.heading)))


def _narrowing(up: float) -> float:
    return 1.0 if up < 1.0 else max(0.84, 1.0 - 0.3 * (up - 1.0)) if up < 1.6 else 0.97


@dataclass(frozen=True)
class Walker:
    """Someone on foot. Place is (x, z); stride from 0, standing, to 1."""

    place: tuple[float, float]
    height: float
    stride: float
    coat: Floats
    trousers: Floats
    seed: int

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        return (self.place[0] - 0.2, self.place[1]), (self.place[0] + 0.2, self.place[1] + 0.3), self.height

    def paint(self, canvas: Canvas) -> None:
        """Paint legs, coat, arms, head and perhaps a bag."""
        random = seeded(self.seed)
        (x, z), h = self.place, self.height
        skin = SKINS[random.integers(3)]
        paint_person(canvas, (x, 0.0, z), h, self.stride, (self.coat, self.trousers, skin), PEDESTRIAN)
        if random.random() < 0.35:
            side = 0.2 * h if random.random() < 0.5 else -0.2 * h
            bag = [
                (x + side / 1.6 + dx, y * h, z) for dx, y in ((-0.09, 0.36), (-0.09, 0.52), (0.09, 0.52), (0.09, 0.36))
            ]
            canvas.face(bag, random.uniform(20, 170, 3), PEDESTRIAN, (0, 0, -1))


def paint_person(
    canvas: Canvas, foot: Point, height: float, stride: float, tints: tuple[Floats, Floats, Floats], label: int
) -> None:
    """Paint a standing or walking figure: coat, trousers and skin are its tints."""
    (x, y, z), h = foot, height
    coat, trousers, skin = tints
    for side in (-1, 1):
        step = side * (0.05 + 0.1 * stride) * h
        canvas.limb((x + side * 0.045 * h, y + 0.48 * h, z), (x + step, y + 0.02 * h, z), 0.095 * h, trousers, label)
        swing = -side * 0.1 * stride * h
        hand = (x + side * 0.15 * h + swing, y + 0.44 * h, z)
        canvas.limb((x + side * 0.125 * h, y + 0.77 * h, z), hand, 0.07 * h, coat * 0.85, label)
        canvas.disc(hand, 0.03 * h, skin, label)
    torso = ((-0.13, 0.8), (-0.06, 0.845), (0.06, 0.845), (0.13, 0.8), (0.115, 0.44), (-0.115, 0.44))
    canvas.face([(x + dx * h, y + dy * h, z) for dx, dy in torso], coat, label, (0.0, 0.6, -0.6))
    canvas.disc((x, y + 0.93 * h, z), 0.068 * h, skin * 0.35, label)
    canvas.disc((x, y + 0.915 * h, z), 0.055 * h, skin, label)


@dataclass(frozen=True)
class Cyclist:
    """Someone on a bicycle. Squeeze is 1 seen from the side and near 0 from behind."""

    place: tuple[float, float]
    squeeze: float
    coat: Floats
    frame: Floats
    seed: int

    def box(self) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return two corners (x, z) and the height."""
        reach = 0.15 + 0.8 * self.squeeze
        return (self.place[0] - reach, self.place[1]), (self.place[0] + reach, self.place[1] + 0.5), 1.6

    def paint(self, canvas: Canvas) -> None:
        """Paint wheels, frame and rider."""
        random = seeded(self.seed)
        (x, z), wide = self.place, self.squeeze
        skin = SKINS[random.integers(3)]
        trousers = random.uniform(15, 90, 3)
        ahead = 1.0 if random.random() < 0.5 else -1.0

        def at(along: float, up: float) -> Point:
            return (x + ahead * along * wide, up, z)

        for along in (-0.52, 0.52):
            canvas.ring(at(along, 0.34), 0.33, 0.06, RUBBER, BICYCLIST, max(wide, 0.12))
        for start, end in (
            ((-0.52, 0.34), (-0.15, 0.85)),
            ((-0.12, 0.8), (0.0, 0.34)),
            ((0.0, 0.34), (0.4, 0.85)),
            ((0.4, 0.9), (0.52, 0.34)),
            ((-0.1, 0.8), (0.4, 0.85)),
            ((-0.52, 0.34), (0.0, 0.34)),
        ):
            canvas.limb(at(*start), at(*end), 0.05, self.frame, BICYCLIST)
        across = 0.1 * (1 - wide)
        for side in (-1, 1):
            knee = (at(0.2, 0.7 + side * 0.12)[0] + side * across, 0.7 + side * 0.12, z)
            hip = (at(-0.12, 0.95)[0] + side * across, 0.95, z)
            pedal = (at(0.02, 0.3 + side * 0.12)[0] + side * across, 0.32 + side * 0.12, z)
            canvas.limb(hip, knee, 0.15, trousers, BICYCLIST)
            canvas.limb(knee, pedal, 0.12, trousers, BICYCLIST)
        shoulder = at(0.18, 1.42)
        canvas.limb(at(-0.12, 0.98), shoulder, 0.3 + 0.12 * (1 - wide), self.coat, BICYCLIST)
        for side in (-1, 1):
            canvas.limb(
                (shoulder[0] + side * across * 2, 1.42, z),
                (at(0.42, 1.0)[0] + side * across * 2.6, 1.0, z),
                0.09,
                self.coat * 0.85,
                BICYCLIST,
            )
        canvas.disc(at(0.26, 1.66), 0.13, skin, BICYCLIST)
        helmet = random.uniform(20, 230, 3) if random.random() < 0.6 else skin * 0.3
        canvas.limb(at(0.2, 1.73), at(0.3, 1.73), 0.16, helmet, BICYCLIST)
