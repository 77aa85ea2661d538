"""The composition of a synthetic street: random choices of what is where, and the order of painting.

No choice depends on the size of the image, which only the camera knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

import numpy as np

from rtseg.datasets.streets.ground import Road, paint_ground, paint_sky, shadow_of_box
from rtseg.datasets.streets.light import Floats, Lens, leaf_field, seeded, weather
from rtseg.datasets.streets.movers import CAR_WIDTHS, Cyclist, Vehicle, Walker
from rtseg.datasets.streets.objects import Building, Fence, Pole, Sign, Tree
from rtseg.datasets.streets.paint import BUILDING, TREE, VOID, Camera, Canvas

MIN_SIDE = 16
FAR = 130.0

Thing = Union[Cyclist, Fence, Pole, Sign, Tree, Vehicle, Walker]

WALLS = np.array(
    [
        [150.0, 82.0, 62.0],
        [176.0, 152.0, 118.0],
        [140.0, 138.0, 134.0],
        [200.0, 194.0, 180.0],
        [98.0, 96.0, 100.0],
        [168.0, 120.0, 92.0],
        [120.0, 128.0, 110.0],
        [190.0, 170.0, 120.0],
    ]
)
LEAVES = np.array(
    [[58.0, 88.0, 36.0], [84.0, 106.0, 42.0], [44.0, 70.0, 44.0], [140.0, 104.0, 40.0], [112.0, 110.0, 60.0]]
)
LACQUERS = np.array(
    [
        [30.0, 31.0, 34.0],
        [72.0, 74.0, 78.0],
        [120.0, 122.0, 126.0],
        [168.0, 170.0, 172.0],
        [226.0, 226.0, 224.0],
        [150.0, 26.0, 26.0],
        [28.0, 52.0, 110.0],
        [40.0, 78.0, 56.0],
        [170.0, 140.0, 60.0],
        [110.0, 80.0, 60.0],
    ]
)


def compose(seed: int, index: int, height: int, width: int) -> tuple[Canvas, Lens, np.random.Generator]:
    """Return the painted canvas, the lens to apply, and the random generator for its grain."""
    random = seeded(seed, index)
    light, lens, cloudiness = weather(random)
    camera = Camera(
        height,
        width,
        focal=width * float(random.uniform(0.62, 0.95)),
        horizon=height * float(random.uniform(0.36, 0.54)),
        above_ground=float(random.uniform(1.2, 2.5)),
    )
    road = _road(random)
    houses = list(_houses(random, road))
    things = list(_things(random, road))
    backdrop_seed = int(random.integers(2**31))
    shadows: list[Floats] = []
    if light.sun.max() > 0.2:
        for house in houses:
            far = (house.far[0] + house.side * house.depth, house.far[1])
            shadows.append(shadow_of_box(house.near, far, house.height, light.towards_sun))
        for thing in things:
            if not isinstance(thing, Fence):
                shadows.append(shadow_of_box(*thing.box(), light.towards_sun))
    for thing in things:
        if isinstance(thing, Vehicle):
            shadows.append(shadow_of_box(*thing.box()[:2], 0.0, light.towards_sun))

    canvas = Canvas(camera, light)
    paint_sky(canvas, seeded(seed, index, 1), cloudiness)
    _paint_backdrop(canvas, seeded(backdrop_seed), road)
    paint_ground(canvas, seeded(seed, index, 2), road, shadows)
    for house in sorted(houses, key=lambda house: -house.near[1]):
        house.paint(canvas)
    for thing in sorted(things, key=_distance, reverse=True):
        thing.paint(canvas)
    if random.random() < 0.12:
        _paint_bonnet(canvas, float(random.uniform(0.03, 0.07)))
    return canvas, lens, seeded(seed, index, 3)


def _distance(thing: Thing) -> float:
    return (thing.near[1] + thing.far[1]) / 2 if isinstance(thing, Fence) else thing.place[1]


def _road(random: np.random.Generator) -> Road:
    half = float(random.uniform(3.0, 7.0))
    lane = float(random.uniform(0.25, 0.6)) * half * (1 if random.random() < 0.75 else -1)
    junctions: tuple[tuple[float, float], ...] = ()
    if random.random() < 0.5:
        start = float(random.uniform(12, 55))
        junctions = ((start, start + float(random.uniform(7, 13))),)
    grey = random.uniform(62, 118)
    asphalt = grey * random.uniform(0.96, 1.04, 3)
    slabs = np.clip(grey * random.uniform(0.95, 1.75), 60, 185) * random.uniform(0.92, 1.08, 3)
    verge = LEAVES[int(random.integers(3))] * random.uniform(0.9, 1.4)
    slope = float(random.uniform(-0.09, 0.09))
    return Road(
        offset=lane,
        slope=slope,
        bend=float(random.choice([0.0, 1.0, -1.0])) * float(random.uniform(0.2, 0.9)) - slope * 0.8,
        half_width=half,
        pavements=(float(random.uniform(1.4, 4.5)), float(random.uniform(1.4, 4.5))),
        junctions=junctions,
        grass=(bool(random.random() < 0.35), bool(random.random() < 0.35)),
        crossing=bool(random.random() < 0.6),
        dashes=(float(random.choice([2.0, 3.0, 99.0])), float(random.uniform(6, 9))),
        albedos=(asphalt, slabs, np.clip(slabs * 1.2, 0, 210), verge),
    )


def _houses(random: np.random.Generator, road: Road) -> Iterator[Building]:
    for side in (-1, 1):
        grass = road.grass[(side + 1) // 2]
        z = float(random.uniform(-6, 3))
        tall = float(random.uniform(4, 17))
        while z < FAR:
            run = float(random.uniform(8, 22))
            setback = float(random.uniform(3, 9)) if grass else float(random.choice([0.0, 0.0, 1.0]))
            edge = road.edge(side) + setback + 0.1
            near = (road.middle(z) + side * edge, z)
            far = (road.middle(z + run) + side * edge, z + run)
            house = Building(
                near,
                far,
                side,
                depth=float(random.uniform(7, 14)),
                height=tall * float(random.uniform(0.7, 1.4)),
                pitch=float(random.choice([0.0, 2.0, 3.2])),
                storey=float(random.uniform(2.8, 3.6)),
                albedo=np.clip(
                    WALLS[int(random.integers(len(WALLS)))] * random.uniform(0.75, 1.1) * random.uniform(0.93, 1.07, 3),
                    0,
                    235,
                ),
                seed=int(random.integers(2**31)),
            )
            if random.random() < (0.7 if grass else 0.93) and road.open_between(z - 1, z + run + 1):
                yield house
            z += run + (0.0 if random.random() < 0.55 else float(random.uniform(1, 9)))


def _things(random: np.random.Generator, road: Road) -> Iterator[Thing]:
    crowns = tuple(leaf_field(random) for _ in range(3))
    leaves = LEAVES[int(random.integers(len(LEAVES)))]
    for side in (-1, 1):
        yield from _kerbside(random, road, side, crowns, leaves)
        yield from _parked(random, road, side)
    yield from _traffic(random, road)
    yield from _people(random, road)


def _kerbside(
    random: np.random.Generator, road: Road, side: int, crowns: tuple[Floats, ...], leaves: Floats
) -> Iterator[Thing]:
    kerb, edge = road.half_width, road.edge(side)

    def at(z: float, across: float) -> tuple[float, float]:
        return (road.middle(z) + side * across, z)

    spacing = float(random.uniform(14, 30))
    steel = random.uniform(50, 150) * random.uniform(0.92, 1.08, 3)
    tall, thick = float(random.uniform(5, 9)), float(random.uniform(0.12, 0.2))
    if random.random() < 0.85:
        z = float(random.uniform(4, 16))
        while z < 110:
            if road.open_between(z - 1, z + 1):
                yield Pole(at(z, kerb + 0.5), tall, thick, -side * float(random.choice([0.0, 1.6])), steel)
            z += spacing
    for _ in range(int(random.integers(1, 6))):
        z = float(random.uniform(5, 45))
        kind = ("disc", "triangle", "board", "light")[int(random.integers(4))]
        yield Sign(
            at(z, kerb + float(random.uniform(0.3, 0.9))),
            kind,
            float(random.uniform(2.1, 3.3)),
            float(random.uniform(0.6, 1.0)) * (1.6 if kind == "board" else 1.0),
            int(random.integers(2**31)),
        )
    planted, z = float(random.choice([0.0, 0.25, 0.75], p=[0.3, 0.35, 0.35])), float(random.uniform(3, 12))
    while z < 100:
        if random.random() < planted and road.open_between(z - 2, z + 2):
            tall = float(random.uniform(4, 10))
            spot = at(z, kerb + 1.0 if edge - kerb > 2.5 else edge + 1.2)
            tint = np.clip(leaves * random.uniform(0.8, 1.2, 3), 0, 200)
            yield Tree(
                spot,
                tall * 0.33,
                tall,
                tall * float(random.uniform(0.6, 0.95)),
                tint,
                crowns,
                int(random.integers(2**31)),
            )
        if random.random() < planted * 0.7:
            bush = float(random.uniform(0.8, 2.2))
            yield Tree(
                at(z + 3, edge - 0.2),
                0.0,
                bush,
                bush * 1.7,
                leaves * random.uniform(0.7, 1.1),
                crowns,
                int(random.integers(2**31)),
            )
        z += float(random.uniform(5, 11))
    if random.random() < 0.7:
        kind = ("panels", "rails", "bars")[int(random.integers(3))]
        start, across = float(random.uniform(1, 15)), float(random.choice([kerb + 0.25, edge - 0.1]))
        tint = (
            LEAVES[0] if random.random() < 0.15 else WALLS[int(random.integers(len(WALLS)))] * random.uniform(0.5, 1.1)
        )
        top = float(random.uniform(0.9, 1.9)) if across > kerb + 0.3 else float(random.uniform(0.7, 1.1))
        for order in range(int(random.integers(2, 9))):
            z0, z1 = start + 5 * order, start + 5 * order + 5
            if road.open_between(z0 - 1, z1 + 1):
                yield Fence(at(z0, across), at(z1, across), kind, top, tint)


def _lacquer(random: np.random.Generator) -> Floats:
    tint: Floats = LACQUERS[int(random.integers(len(LACQUERS)))] * random.uniform(0.85, 1.15, 3)
    return tint


def _parked(random: np.random.Generator, road: Road, side: int) -> Iterator[Vehicle]:
    if road.half_width < 4.2 or random.random() < 0.35:
        return
    z = float(random.uniform(4, 14))
    while z < 90:
        shape = ("hatchback", "saloon", "van")[int(random.choice(3, p=[0.45, 0.4, 0.15]))]
        if random.random() < 0.7 and road.open_between(z - 5, z + 5):
            x = road.middle(z) + side * (road.half_width - CAR_WIDTHS[shape] / 2 - 0.15)
            yield Vehicle(shape, (x, z), _heading(road, z, -side), _lacquer(random), int(random.integers(2**31)))
        z += float(random.uniform(5.6, 9))


def _heading(road: Road, z: float, direction: int) -> float:
    along = float(np.arctan(road.middle(z + 0.5) - road.middle(z - 0.5)))
    return along if direction < 0 else along + np.pi


def _traffic(random: np.random.Generator, road: Road) -> Iterator[Vehicle]:
    own = -1 if road.offset > 0 else 1
    for side in (own, -own):
        z = float(random.uniform(9, 40)) if side != own else float(random.uniform(10, 40))
        for _ in range(int(random.integers(0, 4))):
            shape = ("hatchback", "saloon", "van", "truck", "bus")[
                int(random.choice(5, p=[0.34, 0.3, 0.14, 0.12, 0.1]))
            ]
            if z < 14 and shape in ("truck", "bus"):
                z += 6
            x = road.middle(z) + side * road.half_width * 0.36
            yield Vehicle(
                shape,
                (x, z),
                _heading(road, z, -1 if side == own else 1),
                _lacquer(random),
                int(random.integers(2**31)),
            )
            z += float(random.uniform(12, 30))
    for start, end in road.junctions:
        if random.random() < 0.45:
            z = (start + end) / 2 + float(random.uniform(-2, 2))
            x = road.middle(z) + float(random.uniform(-14, 14))
            turn = float(random.choice([-1.0, 1.0])) * np.pi / 2 + float(random.uniform(-0.25, 0.25))
            yield Vehicle("saloon", (x, z), turn, _lacquer(random), int(random.integers(2**31)))


def _people(random: np.random.Generator, road: Road) -> Iterator[Thing]:
    def clothes() -> Floats:
        dark = random.random() < 0.55
        tint: Floats = (
            random.uniform(18, 80) * random.uniform(0.85, 1.15, 3)
            if dark
            else random.uniform(60, 200) * random.uniform(0.6, 1.15, 3)
        )
        return tint

    for _ in range(int(random.integers(2, 11))):
        z = float(random.uniform(4.5, 14) if random.random() < 0.4 else random.uniform(10, 45))
        side = int(random.choice([-1, 1]))
        across = float(random.uniform(road.half_width + 0.4, road.edge(side) - 0.1))
        if random.random() < 0.18:
            across = float(random.uniform(0.4, 1.0)) * road.half_width
        for member in range(int(random.choice([1, 1, 2]))):
            place = (road.middle(z) + side * across + member * 0.7, z + member * 0.3)
            tall = float(random.uniform(1.5, 1.9)) if random.random() < 0.88 else float(random.uniform(0.95, 1.3))
            yield Walker(place, tall, float(random.uniform(0, 1)), clothes(), clothes(), int(random.integers(2**31)))
    for _ in range(int(random.choice([0, 1, 2, 3], p=[0.1, 0.25, 0.35, 0.3]))):
        z = float(random.uniform(5.5, 24))
        side = int(random.choice([-1, 1]))
        place = (road.middle(z) + side * road.half_width * float(random.uniform(0.45, 0.95)), z)
        squeeze = float(random.choice([0.15, 0.3, 0.95]))
        yield Cyclist(place, squeeze, clothes(), random.uniform(20, 200, 3), int(random.integers(2**31)))


def _paint_backdrop(canvas: Canvas, random: np.random.Generator, road: Road) -> None:
    """Paint a far skyline of houses and woods, so that the road ends somewhere."""
    distance, x = 240.0, -330.0
    while x < 330:
        run, top = float(random.uniform(8, 30)), float(random.uniform(4, 22))
        woods = random.random() < 0.45
        tint = LEAVES[int(random.integers(len(LEAVES)))] if woods else WALLS[int(random.integers(len(WALLS)))]
        left = x + road.middle(distance)
        if woods:
            humps = [(left + run * k / 8, top * float(random.uniform(0.5, 0.8)), distance) for k in range(9)]
            canvas.face([(left, -2.0, distance), *humps, (left + run, -2.0, distance)], tint * 0.8, TREE, (0, 0, -1))
        else:
            corners = [
                (left, -2.0, distance),
                (left, top, distance),
                (left + run, top, distance),
                (left + run, -2.0, distance),
            ]
            canvas.face(corners, tint, BUILDING, (0, 0, -1))
        x += run * float(random.uniform(0.6, 1.0))


def _paint_bonnet(canvas: Canvas, share: float) -> None:
    """Paint the front of the car that carries the camera; these pixels are void."""
    height, width = canvas.pixels.shape[:2]
    y, x = np.ogrid[0:height, 0:width]
    rise = 1 - 0.6 * ((x + 0.5) / width * 2 - 1) ** 2
    canvas.pixels[(y + 0.5) / height > 1 - share * rise] = (28, 28, 32, VOID)
