"""Write reductions: from opset 18 on their axes are an input, at opset 17 an attribute."""

from __future__ import annotations

from onnx import TensorProto

from rtseg.exporting.opset_lowering.site import Site

ELEMENTWISE = {
    "ReduceL1": "Abs",
    "ReduceL2": "Abs",
    "ReduceLogSum": "Log",
    "ReduceSumSquare": "",
}
"""What remains of a reduction over no axes: an operator, or the square; by default an Identity."""


def lower_reduction(site: Site) -> None:
    """Rewrite a reduction with its axes as an attribute; without any axes, write its effect on each value."""
    axes = site.integers(1) if site.has(1) else []
    if not axes and site.attribute("noop_with_empty_axes", 0):
        operator = ELEMENTWISE.get(site.node.op_type, "Identity")
        site.give(operator, site.name(0)) if operator else site.give("Mul", site.name(0), site.name(0))
        return
    attributes = {"axes": axes} if axes else {}
    keepdims = site.attribute("keepdims", 1)
    if site.element() != TensorProto.BOOL:
        site.give(site.node.op_type, site.name(0), keepdims=keepdims, **attributes)
        return
    numbers = site.cast(site.name(0), TensorProto.BOOL, TensorProto.INT32)  # opset 17 has no maximum of bools
    reduced = site.add(site.node.op_type, numbers, keepdims=keepdims, **attributes)
    site.give("Cast", reduced, to=TensorProto.BOOL)


def lower_axes_attribute(site: Site) -> None:
    """Rewrite ReduceSum, Squeeze or Unsqueeze of opset 12 or older with axes as an input instead of an attribute."""
    axes = site.attribute("axes", None)
    if axes is None:
        site.keep()
    else:
        site.keep(site.name(0), site.value(axes, "int64"), without=("axes",))
