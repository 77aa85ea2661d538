"""Write Attention, newer than opset 17, as two matrix products and a Softmax; masks are added between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from rtseg.exporting.opset_lowering.site import Site


def lower_attention(site: Site) -> None:
    """Rewrite Attention over a whole sequence as matrix products and a Softmax.

    Raises OnnxError for Attention with a cache of keys, and for a mask that hides every key from some query.
    """
    _require_no_cache(site)
    query, key, value = (_by_heads(site, position, name) for position, name in enumerate(("q", "kv", "kv")))
    heads, length, size = query.shape[1:]
    kept = key.shape[2]
    key, value = key.repeated(site, heads), value.repeated(site, heads)
    scale = site.attribute("scale", None)
    scaled = site.add("Mul", query.name, site.number(1 / math.sqrt(size) if scale is None else scale))
    scores = site.add("MatMul", scaled, site.add("Transpose", key.name, perm=[0, 1, 3, 2]))
    cap = site.attribute("softcap", 0.0)
    if cap:
        scores = site.add("Mul", site.add("Tanh", site.add("Div", scores, site.number(cap))), site.number(cap))
    bias, computed = _bias(site, length, kept)
    if bias:
        scores = site.add("Add", scores, bias)
    element, precise = site.element(), site.attribute("softmax_precision", 0) or site.element()
    shares = site.cast(site.add("Softmax", site.cast(scores, element, precise), axis=3), precise, element)
    if computed:  # a query that may see no key gives zero
        greatest = site.add("ReduceMax", bias, axes=[-1], keepdims=1)
        shares = site.add("Where", site.add("Equal", greatest, site.number(-math.inf)), site.number(0), shares)
    shape = (query.shape[0], heads, length, value.shape[3])
    if len(site.shape()) == 4:
        site.give("MatMul", shares, value.name)
        return
    together = site.add("Transpose", site.add("MatMul", shares, value.name), perm=[0, 2, 1, 3])
    site.give_reshaped(together, (shape[0], length, heads * shape[3]))


class _Heads:
    """A tensor (batch, heads, length, size)."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape

    def repeated(self, site: Site, heads: int) -> _Heads:
        """Return the tensor with each head repeated to give that many heads."""
        own = self.shape[1]
        if own == heads:
            return self
        if heads % own:
            raise site.refused(f"{heads} heads of queries for {own} of keys")
        order = site.value(np.repeat(np.arange(own), heads // own), np.int64)
        return _Heads(site.add("Gather", self.name, order, axis=1), (self.shape[0], heads, *self.shape[2:]))


def _require_no_cache(site: Site) -> None:
    for position, name in enumerate(("past_key", "past_value", "nonpad_kv_seqlen"), 4):
        if site.has(position):
            raise site.refused(f"the input {name}")
    for position, name in enumerate(("present_key", "present_value", "qk_matmul_output"), 1):
        if site.gives(position):
            raise site.refused(f"the output {name}")
    for name in ("left_window_size", "right_window_size"):
        if site.attribute(name, -1) != -1:
            raise site.refused(f"{name} {site.attribute(name, -1)}")
    del site.node.output[1:]


def _by_heads(site: Site, position: int, kind: str) -> _Heads:
    """Return an input split into heads: as it is, or with its last axis split."""
    name, shape = site.name(position), site.shape(position)
    if len(shape) == 4:
        return _Heads(name, shape)
    batch, length, together = shape
    heads = int(site.attribute(f"{kind}_num_heads", 0))
    if heads < 1 or together % heads:
        raise site.refused(f"{heads} heads of {together} values")
    cut = site.reshaped(name, (batch, length, heads, together // heads))
    turned = site.add("Transpose", cut, perm=[0, 2, 1, 3])
    return _Heads(turned, (batch, heads, length, together // heads))


def _bias(site: Site, length: int, kept: int) -> tuple[str, bool]:
    """Return the tensor that is added to the scores, or an empty name, and whether it is computed."""
    mask, causal = site.name(3), _causal(length, kept) if site.attribute("is_causal", 0) else None
    if mask and not site.is_constant(3):
        bias = mask
        if site.element(3) == TensorProto.BOOL:
            bias = site.add("Where", mask, site.number(0), site.number(-math.inf))
        missing = kept - site.shape(3)[-1]
        if missing:
            rank = len(site.shape(3))
            pads = site.value([0] * (2 * rank - 1) + [missing], np.int64)
            bias = site.add("Pad", bias, pads, site.number(-math.inf))
        if causal is not None:
            bias = site.add("Add", bias, site.like(causal))
        return bias, True
    added: NDArray[Any] | None = causal
    if mask:
        constant = site.constant(3)
        if constant.dtype == np.bool_:
            constant = np.where(constant, np.float32(0), np.float32(-np.inf))
        around = [(0, 0)] * (constant.ndim - 1) + [(0, kept - constant.shape[-1])]
        constant = np.pad(constant, around, constant_values=-np.inf)
        added = constant if causal is None else constant + causal
    if added is None:
        return "", False
    if np.isneginf(added).all(axis=-1).any():
        raise site.refused("an attention mask that hides every key from some query")
    return site.like(added), False


def _causal(length: int, kept: int) -> NDArray[np.float32]:
    """Return the mask that hides later keys from each query."""
    return np.where(np.arange(kept) <= np.arange(length)[:, None], np.float32(0), np.float32(-np.inf))
