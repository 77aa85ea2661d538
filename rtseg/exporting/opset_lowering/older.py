"""Write operators of opset 11 to 16 that have another form at opset 17 and belong to no other module here."""

from __future__ import annotations

from rtseg.exporting.opset_lowering.site import Site


def lower_dropout(site: Site) -> None:
    """Rewrite Dropout of opset 11 without its ratio, which was an attribute and has no effect at inference."""
    site.keep(without=("ratio",))


def lower_roi_align(site: Site) -> None:
    """Rewrite RoiAlign of opset 15 or older: its rule for coordinates, output_half_pixel, becomes an attribute."""
    site.keep(coordinate_transformation_mode="output_half_pixel")
