from __future__ import annotations

import numpy as np
import pytest

from rtseg.errors import SpecError
from rtseg.frame.palette import colour_table, overlay
from rtseg.specs import ClassSpec

CLASSES = ClassSpec("two", ("road", "sky"), ((128, 64, 128), (70, 130, 181)))
IMAGE = np.random.default_rng(1).integers(0, 256, (7, 9, 3), np.uint8)
LABELS = np.random.default_rng(2).choice(np.array([0, 1, 255], np.uint8), (7, 9))


def test_every_label_has_a_colour_and_those_without_a_class_are_black() -> None:
    table = colour_table(CLASSES)
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    assert table[:2].tolist() == [[128, 64, 128], [70, 130, 181]] and not table[2:].any()


def test_an_overlay_goes_from_the_image_to_the_colours() -> None:
    np.testing.assert_array_equal(overlay(IMAGE, LABELS, CLASSES, opacity=0), IMAGE)
    np.testing.assert_array_equal(overlay(IMAGE, LABELS, CLASSES, opacity=1), colour_table(CLASSES)[LABELS])
    between = overlay(IMAGE, LABELS, CLASSES, opacity=0.25)
    np.testing.assert_array_equal(between, np.rint(0.75 * IMAGE + 0.25 * colour_table(CLASSES)[LABELS]))


def test_an_overlay_fills_the_array_it_is_given() -> None:
    room = np.full_like(IMAGE, 99)
    assert overlay(IMAGE, LABELS, CLASSES, out=room) is room
    np.testing.assert_array_equal(room, overlay(IMAGE, LABELS, CLASSES))


@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_an_opacity_out_of_range_is_refused(opacity: float) -> None:
    with pytest.raises(SpecError, match=r"the opacity is out of range; got .*; expected 0 to 1"):
        overlay(IMAGE, LABELS, CLASSES, opacity=opacity)
