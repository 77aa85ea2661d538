"""Arguments that several stages take."""

from __future__ import annotations

import pytest

import rtseg
from rtseg.errors import SpecError, UnknownNameError
from rtseg.pipeline.arguments import normalization_of
from rtseg.specs import IMAGENET_NORMALIZATION, Normalization


def test_a_normalization_goes_by_its_name_or_as_it_is() -> None:
    own = Normalization(scale=1.0)
    assert [normalization_of(given) for given in ("imagenet", own, None)] == [IMAGENET_NORMALIZATION, own, None]
    unit = normalization_of("unit")
    assert unit is not None and (unit.mean, unit.std, unit.scale) == ((0, 0, 0), (1, 1, 1), 1 / 255)


def test_another_name_or_type_is_told_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown normalization; got 'imagnet'; .* Try: use 'imagenet'"):
        rtseg.export("affnet", "64x64", normalization="imagnet")
    with pytest.raises(
        SpecError, match="not a normalization; got tuple; expected a Normalization, 'imagenet' or 'unit'"
    ):
        normalization_of((0.5, 0.5))
