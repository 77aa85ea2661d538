"""Write operators that changed in a detail after opset 17: casts, Mod, scattering and DFT."""

from __future__ import annotations

from onnx import TensorProto

from rtseg.exporting.opset_lowering.site import Site

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
OF_SMALL_FLOATS = ("saturate", "round_mode")
"""Attributes for conversion to floats of 8 bits or fewer, which opset 17 lacks."""


def lower_cast(site: Site) -> None:
    """Rewrite Cast without the attributes that only matter for types that opset 17 lacks."""
    site.keep(without=OF_SMALL_FLOATS)


def lower_cast_like(site: Site) -> None:
    """Rewrite CastLike as a Cast to the type of the second input."""
    site.give("Cast", site.name(0), to=site.element(1))


def lower_range(site: Site) -> None:
    """Rewrite Range without its accumulator type for float16: opset 17 has no Range of float16."""
    site.keep(without=("stash_type",))


def lower_mod(site: Site) -> None:
    """Rewrite Mod of floats whose result has the sign of the divisor; keep every other Mod.

    At opset 17, Mod of floats has the sign of the dividend.
    """
    if site.element() not in FLOATS or site.attribute("fmod", 0):
        site.keep()
        return
    first, second = site.name(0), site.name(1)
    whole = site.add("Floor", site.add("Div", first, second))
    site.give("Sub", first, site.add("Mul", whole, second))


def lower_scatter(site: Site) -> None:
    """Keep a scattering operator. Raises OnnxError for the reductions max and min, which opset 17 lacks."""
    if site.attribute("reduction", "none") in ("max", "min"):
        raise site.refused(f"reduction {site.attribute('reduction', 'none')!r}")
    site.keep()


def lower_dft(site: Site) -> None:
    """Rewrite DFT with its axis as an attribute, counted from the front."""
    rank = len(site.shape())
    axis = site.axis(site.integers(2)[0] if site.has(2) else -2, rank)
    site.keep(*([site.name(0), site.name(1)] if site.has(1) else [site.name(0)]), axis=axis)
