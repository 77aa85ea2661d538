"""Operators of opset 11 to 16 that say the same in another way, where no other module has them."""

from __future__ import annotations

from rtseg.exporting.opset_lowering.site import Site


def lower_dropout(site: Site) -> None:
    """Before opset 12 the ratio was an attribute; at inference it says nothing."""
    site.keep(without=("ratio",))


def lower_roi_align(site: Site) -> None:
    """Before opset 16 pixels were not centred, which is another default since."""
    site.keep(coordinate_transformation_mode="output_half_pixel")
