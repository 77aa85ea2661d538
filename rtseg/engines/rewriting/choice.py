"""Which passes a graph is rewritten by: those that pay, by the account of what the compiler makes of it.

The passes are tried one after the other on what the earlier ones left. One that does not lower the price is dropped,
and so is one after which more bytes move than in the graph as it came. As one pass can make the place for another, all
are tried a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Callable

import onnx

from rtseg.engines.rewriting.cost import Cost
from rtseg.engines.rewriting.graph_pass import GraphPass
from rtseg.errors import RtsegError

Judge = Callable[[onnx.ModelProto], Cost]
"""Gives what a graph costs. Raises EngineError where the compiler refuses the graph, and what lower raises."""

ROUNDS = 2
"""Times that all passes are tried."""

MOST_TIMES = 8
"""Times that one pass is applied to its own result."""


@dataclass(frozen=True)
class AppliedPass:
    """A pass that was applied, and the cost that it saved; None where nothing was compiled."""

    name: str
    saved: Cost | None = None


@dataclass(frozen=True)
class Rewriting:
    """A graph after its passes: which were applied, in order, which did not pay, and the costs where counted."""

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
"""What puts a graph through the passes that serve a compiler."""


def repeated(model: onnx.ModelProto, passes: Sequence[GraphPass], told: Mapping[str, Any]) -> Rewriting:
    """Return the rewriting of the graph that to_json described, without compiling anything.

    Raises KeyError and TypeError for what is no such description.
    """
    by_name = {entry.name: entry for entry in passes}
    applied = tuple(AppliedPass(entry["name"], _cost_of(entry["saved"])) for entry in told["applied"])
    for entry in applied:
        model = _exhausted(model, by_name[entry.name])
    return Rewriting(model, applied, tuple(told["dropped"]), _cost_of(told["before"]), _cost_of(told["after"]))


def rewritten(model: onnx.ModelProto, passes: Sequence[GraphPass]) -> Rewriting:
    """Return the graph after every pass that finds a place in it. Nothing is compiled."""
    applied = []
    for entry in passes:
        changed = _exhausted(model, entry)
        if changed is not model:
            model = changed
            applied.append(AppliedPass(entry.name))
    return Rewriting(model, tuple(applied))


def rewritten_where_it_pays(model: onnx.ModelProto, passes: Sequence[GraphPass], judge: Judge) -> Rewriting:
    """Return the graph after the passes that lower its price. All together they add no byte.

    Raises what the judge raises for the graph as it is. A pass whose result it refuses is dropped.
    """
    before = cost = judge(model)
    applied: list[AppliedPass] = []
    dropped: dict[str, onnx.ModelProto] = {}
    for _ in range(ROUNDS):
        paid = len(applied)
        for entry in passes:
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
    return Rewriting(model, tuple(applied), tuple(dropped), before, cost)


def _exhausted(model: onnx.ModelProto, entry: GraphPass) -> onnx.ModelProto:
    """Return the model after the pass has been applied to its own result until it finds nothing more."""
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


def _cost_of(told: Mapping[str, int] | None) -> Cost | None:
    return None if told is None else Cost(**told)
