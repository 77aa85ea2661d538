"""Write activations newer than opset 17 in the arithmetic that defines them."""

from __future__ import annotations

import math

from rtseg.exporting.opset_lowering.site import Site


def lower_gelu(site: Site) -> None:
    """Rewrite Gelu as x * Phi(x). Phi is computed with Erf, or with Tanh for approximate="tanh".

    Raises OnnxError for another approximation.
    """
    source, kind = site.name(0), site.attribute("approximate", "none")
    if kind == "none":
        inner = site.add("Erf", site.add("Mul", source, site.number(math.sqrt(0.5))))
    elif kind == "tanh":
        cube = site.add("Mul", site.add("Mul", source, source), source)
        sum_ = site.add("Add", source, site.add("Mul", cube, site.number(0.044715)))
        inner = site.add("Tanh", site.add("Mul", sum_, site.number(math.sqrt(2 / math.pi))))
    else:
        raise site.refused(f"approximate {kind!r}")
    twice = site.add("Add", inner, site.number(1))
    site.give("Mul", site.add("Mul", source, site.number(0.5)), twice)


def lower_mish(site: Site) -> None:
    """Rewrite Mish as x * tanh(softplus(x))."""
    source = site.name(0)
    site.give("Mul", source, site.add("Tanh", site.add("Softplus", source)))


def lower_swish(site: Site) -> None:
    """Rewrite Swish as x * sigmoid(alpha x)."""
    site.give("Mul", site.name(0), _gate(site))


def lower_swiglu(site: Site) -> None:
    """Rewrite SwiGLU as x * sigmoid(alpha x), times the second input."""
    site.give("Mul", site.add("Mul", site.name(0), _gate(site)), site.name(1))


def _gate(site: Site) -> str:
    """Return sigmoid(alpha x)."""
    alpha = site.attribute("alpha", 1.0)
    return site.add("Sigmoid", site.name(0) if alpha == 1 else site.add("Mul", site.name(0), site.number(alpha)))


def lower_softmax(site: Site) -> None:
    """Rewrite Softmax, LogSoftmax or Hardmax of opset 12 or older.

    There they treat all axes from `axis`, by default 1, as a single one.
    """
    if site.attribute("axis", 1) == -1:
        site.keep()
        return
    shape = site.shape()
    axis = site.axis(site.attribute("axis", 1), len(shape))
    together = math.prod(shape[axis:])
    alone = next((index for index in range(axis, len(shape)) if shape[index] == together), None)
    if alone is not None:  # the others are of length 1
        site.keep(axis=alone)
        return
    rows = site.reshaped(site.name(0), (math.prod(shape[:axis]), together))
    site.give_reshaped(site.add(site.node.op_type, rows, axis=1), shape)
