"""Choose the passes that lower the cost of a graph as the compiler builds it.

The passes are tried one after the other, each on the result of the earlier ones. A pass is dropped if it does not lower
the price, or if more bytes move after it than in the original graph. One pass can make another applicable, so all are
tried a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Callable

import onnx

from rtseg.engines.rewriting.cost import Cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.errors import RtsegError
from rtseg.observer import SILENT, Observer

Judge = Callable[[onnx.ModelProto], Cost]
"""Returns the cost of a graph. Raises EngineError if the compiler refuses the graph, and what lower raises."""

TASK = "choosing graph passes"
"""What an observer is told."""

ROUNDS = 2
"""How often all passes are tried."""

MOST_TIMES = 8
"""How often at most one pass is applied to its own result."""


@dataclass(frozen=True)
class AppliedPass:
    """A pass that was applied, and the cost that it saved; None if nothing was compiled."""

    name: str
    saved: Cost | None = None


@dataclass(frozen=True)
class Rewriting:
    """A graph after its passes: the applied ones in order, the dropped ones, and the costs if they were counted."""

    model: onnx.ModelProto
    applied: tuple[AppliedPass, ...] = ()
    dropped: tuple[str, ...] = ()
    before: Cost | None = None
    after: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without the graph."""
        return {
            "applied": [asdict(entry) for entry in self.applied],
            "dropped": list(self.dropped),
            "before": None if self.before is None else asdict(self.before),
            "after": None if self.after is None else asdict(self.after),
        }


Rewriter = Callable[[onnx.ModelProto], Rewriting]
"""Applies the passes for one compiler to a graph."""


def repeated(model: onnx.ModelProto, passes: Sequence[GraphPass], described: Mapping[str, Any]) -> Rewriting:
    """Return the rewriting of the graph that to_json described, without compiling anything.

    Raises KeyError and TypeError for anything that is not such a description.
    """
    by_name = {entry.name: entry for entry in passes}
    applied = tuple(AppliedPass(entry["name"], _cost_of(entry["saved"])) for entry in described["applied"])
    for entry in applied:
        model = _exhausted(model, by_name[entry.name])
    return Rewriting(
        model, applied, tuple(described["dropped"]), _cost_of(described["before"]), _cost_of(described["after"])
    )


def rewritten(model: onnx.ModelProto, passes: Sequence[GraphPass]) -> Rewriting:
    """Return the graph after every pass that applies to it. Nothing is compiled."""
    applied = []
    for entry in passes:
        changed = _exhausted(model, entry)
        if changed is not model:
            model = changed
            applied.append(AppliedPass(entry.name))
    return Rewriting(model, tuple(applied))


def rewritten_where_it_pays(
    model: onnx.ModelProto, passes: Sequence[GraphPass], judge: Judge, observer: Observer = SILENT
) -> Rewriting:
    """Return the graph after the passes that lower its price. Together they never move more bytes than the original.

    observer receives the number of passes that were tried, in all rounds. Raises what the judge raises for the original
    graph. A pass whose result it refuses is dropped.
    """
    before = cost = judge(model)
    applied: list[AppliedPass] = []
    dropped: dict[str, onnx.ModelProto] = {}
    total = ROUNDS * len(passes)
    for round_ in range(ROUNDS):
        paid = len(applied)
        for number, entry in enumerate(passes, round_ * len(passes)):
            observer.progress(TASK, number, total, entry.name)
            if dropped.get(entry.name) is model:
                continue  # nothing has changed since it did not pay
            changed = _exhausted(model, entry)
            if changed is model:
                dropped.pop(entry.name, None)
                continue
            after = _cost(changed, judge)
            if after is not None and after.price < cost.price and after.bytes <= before.bytes:
                applied.append(AppliedPass(entry.name, cost - after))
                model, cost = changed, after
                dropped.pop(entry.name, None)
            else:
                dropped[entry.name] = model
        if len(applied) == paid:
            break
    observer.progress(TASK, total, total)
    return Rewriting(model, tuple(applied), tuple(dropped), before, cost)


def _exhausted(model: onnx.ModelProto, entry: GraphPass) -> onnx.ModelProto:
    """Return the model after the pass has been applied to its own result until nothing changes."""
    for _ in range(MOST_TIMES):
        changed = entry.rewrite(model)
        if changed is model:
            break
        model = changed
    return model


def _cost(model: onnx.ModelProto, judge: Judge) -> Cost | None:
    try:
        return judge(model)
    except RtsegError:  # the lowering may refuse it too
        return None


def _cost_of(described: Mapping[str, int] | None) -> Cost | None:
    return None if described is None else Cost(**described)
