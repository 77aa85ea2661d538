"""Find what differs between two engines of one network; layers are matched by the ONNX operators they come from.

Layer names cannot be the key: another version or precision fuses other operators into one layer. Layers of the two
engines that share an operator form one group, also if they are linked through a third layer. Q/DQ count only for a
layer that has no other operator, because one of them may be fused into several layers. Reformats and other layers
without operators are matched by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtseg.engines.audited_layer import AuditedLayer
from rtseg.engines.layer_audit import Audit
from rtseg.engines.layer_precision import is_quantization_name

APPEARED, DISAPPEARED, PRECISION, REGROUPED = "appeared", "disappeared", "precision", "regrouped"
KINDS = (PRECISION, APPEARED, DISAPPEARED, REGROUPED)


@dataclass(frozen=True)
class LayerState:
    """A group of layers of one engine: their names, their precisions, and their time if known."""

    layers: tuple[str, ...]
    precisions: tuple[str, ...]
    ms: float | None


@dataclass(frozen=True)
class LayerChange:
    """One difference between the reference (before) and the candidate (after); a side is None if it has no such layer.

    kind is "appeared", "disappeared", "precision", or "regrouped": the same operators and precision are split into a
    different number of layers.
    """

    kind: str
    before: LayerState | None
    after: LayerState | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return asdict(self)


def changes_between(candidate: Audit, reference: Audit) -> tuple[LayerChange, ...]:
    """Return the changes from reference to candidate: changed precisions first, each kind sorted by layer name."""
    changes = []
    for before, after in _matched(reference.layers, candidate.layers):
        old, new = _state(before), _state(after)
        if old is None or new is None:
            changes.append(LayerChange(APPEARED if old is None else DISAPPEARED, old, new))
        elif old.precisions != new.precisions:
            changes.append(LayerChange(PRECISION, old, new))
        elif len(old.layers) != len(new.layers):
            changes.append(LayerChange(REGROUPED, old, new))
    return tuple(sorted(changes, key=lambda change: (KINDS.index(change.kind), _first_name(change))))


def times_by_precision(candidate: Audit, reference: Audit) -> dict[str, dict[str, float | None]]:
    """Return ms by precision, "before" in the reference and "after" in the candidate; None without a profile."""
    rows: Mapping[str, Audit] = {"before": reference, "after": candidate}
    found = {side: {row.precision: row.ms for row in audit.rows} for side, audit in rows.items()}
    precisions = dict.fromkeys([row.precision for audit in rows.values() for row in audit.rows])
    return {
        precision: {side: found[side].get(precision, 0.0 if audit.timed else None) for side, audit in rows.items()}
        for precision in precisions
    }


def _matched(
    before: Iterable[AuditedLayer], after: Iterable[AuditedLayer]
) -> list[tuple[list[AuditedLayer], list[AuditedLayer]]]:
    """Return groups of layers that are linked by operators, each split into layers before and layers after."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    sides = [(entry, _keys(entry)) for entry in before], [(entry, _keys(entry)) for entry in after]
    for _, keys in [*sides[0], *sides[1]]:
        for key in keys[1:]:
            parent[root(key)] = root(keys[0])
    groups: defaultdict[str, tuple[list[AuditedLayer], list[AuditedLayer]]] = defaultdict(lambda: ([], []))
    for index, side in enumerate(sides):
        for entry, keys in side:
            groups[root(keys[0])][index].append(entry)
    return list(groups.values())


def _keys(entry: AuditedLayer) -> list[str]:
    operators = list(entry.layer.operators)
    working = [operator for operator in operators if not is_quantization_name(operator)]
    return working or operators or [f"layer {entry.layer.name}"]


def _state(entries: list[AuditedLayer]) -> LayerState | None:
    if not entries:
        return None
    times = [entry.ms for entry in entries if entry.ms is not None]
    return LayerState(
        tuple(sorted(entry.layer.name for entry in entries)),
        tuple(sorted({entry.precision for entry in entries})),
        sum(times) if times else None,
    )


def _first_name(change: LayerChange) -> str:
    state = change.after or change.before
    return state.layers[0] if state is not None else ""
