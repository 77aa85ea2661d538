"""Count the multiply-accumulates of every kernel of an engine: from its own shapes, else from the graph's operators.

The kernel's shapes come first, because they show the channels that the compiler added. If they do not settle the count,
the kernel gets the multiply-accumulates of the graph's operators that it was made from. Each operator is counted once:
a kernel gets only what no other kernel has. If several such kernels come from one operator, the first gets all of it,
so the sum is right and the parts are not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtseg.engines.audited_layer import AuditedLayer
from rtseg.engines.layer_precision import WEIGHTED
from rtseg.engines.layer_work import macs_of, skips_products


def macs_of_layers(layers: Iterable[AuditedLayer], graph: Mapping[str, int]) -> tuple[int | None, ...]:
    """Return the multiply-accumulates of each layer: 0 if it has no product, None if they are unknown.

    graph maps the names of the graph's convolutions and matrix products to their multiply-accumulates; it may be empty.
    """
    entries = tuple(layers)
    counts = [macs_of(entry.layer, entry.work) for entry in entries]
    left = dict(graph)
    for entry, count in zip(entries, counts):
        if entry.work in WEIGHTED and count is not None:
            _take(count, entry.layer.operators, left)
    for place, entry in enumerate(entries):
        named = [name for name in entry.layer.operators if name in graph]
        if counts[place] is None and named and not skips_products(entry.layer):
            counts[place] = sum(left[name] for name in named)
            left.update(dict.fromkeys(named, 0))
    return tuple(counts)


def _take(count: int, operators: Iterable[str], left: dict[str, int]) -> None:
    """Remove what a kernel computes from what is left of its operators, first from one with exactly that count."""
    for name in sorted((name for name in operators if name in left), key=lambda name: left[name] != count):
        part = min(count, left[name])
        left[name] -= part
        count -= part
