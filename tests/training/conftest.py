"""A handful of small pictures and the networks that are trained on them."""

from __future__ import annotations

import pytest

from rtseg.datasets.labelled import LabelledImage
from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import Streets
from rtseg.networks.prepared import PreparedNetwork, build_network
from rtseg.specs import ClassSpec, Resolution


class Listed:
    """A dataset of pictures that are already in memory."""

    def __init__(self, classes: ClassSpec, items: list[LabelledImage]) -> None:
        self.classes = classes
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> LabelledImage:
        return self._items[index]


@pytest.fixture(scope="session")
def six_scenes() -> Listed:
    streets = Streets("train", Resolution(64, 96))
    return Listed(streets.classes, [streets[index] for index in range(6)])


@pytest.fixture(scope="session")
def two_scenes() -> Listed:
    streets = Streets("val", Resolution(64, 96))
    return Listed(streets.classes, [streets[index] for index in range(2)])


@pytest.fixture()
def affnet() -> PreparedNetwork:
    """A fresh one for each test: training changes the weights in place."""
    return build_network("affnet", class_spec("streets"), seed=3)


@pytest.fixture(scope="module", autouse=True)
def small_pictures(one_core: None) -> None:
    """Every test here computes on pictures that are not worth sharing among threads."""
