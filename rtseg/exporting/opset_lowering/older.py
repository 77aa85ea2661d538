"""Write operators of opset 11 to 16 that have another form at opset 17 and belong to no other module here."""

from __future__ import annotations

from rtseg.exporting.opset_lowering.site import Site


def lower_dropout(site: Site) -> None:
    """Before opset 12 the ratio was an attribute; it has no effect at inference."""
    site.keep(without=("ratio",))


def lower_roi_align(site: Site) -> None:
    """Before opset 16 pixels were not centred; the default changed then."""
    site.keep(coordinate_transformation_mode="output_half_pixel")
