"""What is expected of a GPU check, and what was seen, met or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.ledger import DONE, Entry
from benchmarks.gpu_check.tasks import ENGINE_KINDS, LABELS, TORCH, Task, lead_network, tasks_of

SIZE = "1024x2048"
"""At which the promises about speed are made, of the leading affnet in FP16."""

TIMES_EAGER_TORCH = 10.0
TIMES_PLAIN_LABELS = 1.3
HOST_OVERHEAD_US = 50.0
AGREEMENT = {"fp32": 0.999, "fp16": 0.995}
"""Of all pixels. INT8 is held against ONNX Runtime's INT8, and no share is promised."""

Number = Optional[float]
Met = Optional[bool]


@dataclass(frozen=True)
class Expectation:
    """A promise and what became of it: met is None, and note says why, where nothing was seen."""

    name: str
    expected: str
    seen: Number
    met: Met
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def expectations(cases: Sequence[Case], entries: Mapping[str, Entry]) -> list[Expectation]:
    """Return every promise that the cases let one look at: those on speed first."""
    tasks = {task.name: task for task in tasks_of(cases)}
    found = []
    lead = lead_network(cases)
    if f"{lead}/{SIZE}/fp16" in tasks:
        of = _Seen(entries, f"{lead}/{SIZE}")
        found += [_beside_torch(of), _beside_labels(of), _overhead(of)]
    for task in tasks.values():
        if task.kind in ENGINE_KINDS:
            found += _of_engine(task, entries.get(task.name))
    return found


class _Seen:
    """The entries of one case."""

    def __init__(self, entries: Mapping[str, Entry], case: str) -> None:
        self.case = case
        self._entries = entries

    def facts(self, kind: str) -> Mapping[str, Any] | None:
        entry = self._entries.get(f"{self.case}/{kind}")
        return entry.facts if entry is not None and entry.status == DONE else None

    def why_not(self, *kinds: str) -> str:
        missing = [kind for kind in kinds if self.facts(kind) is None]
        return "; ".join(_why(kind, self._entries.get(f"{self.case}/{kind}")) for kind in missing)


def _beside_torch(of: _Seen) -> Expectation:
    name = f"{of.case}: frame of fp16, times as fast as eager FP32 torch"
    expected = f"at least {TIMES_EAGER_TORCH:g}"
    torch, engine = of.facts(TORCH), of.facts("fp16")
    if torch is None or engine is None:
        return Expectation(name, expected, None, None, of.why_not(TORCH, "fp16"))
    turns = torch["in_turns"]
    ours = turns.get("engine fp16")
    note = "in turns" if ours else "one after the other, as no interpreter has both torch and TensorRT"
    ratio = turns["eager fp32"]["median_ms"] / (ours or engine["frame"]["host"])["median_ms"]
    return Expectation(name, expected, ratio, ratio >= TIMES_EAGER_TORCH, note)


def _beside_labels(of: _Seen) -> Expectation:
    name = f"{of.case}: frame of fp16, times as fast as the plain labels engine"
    expected = f"at least {TIMES_PLAIN_LABELS:g}"
    facts = of.facts(LABELS)
    if facts is None:
        return Expectation(name, expected, None, None, of.why_not(LABELS))
    ratio = facts["in_turns"]["labels"]["median_ms"] / facts["in_turns"]["frame"]["median_ms"]
    return Expectation(name, expected, ratio, ratio >= TIMES_PLAIN_LABELS, "in turns")


def _overhead(of: _Seen) -> Expectation:
    name = f"{of.case}: host overhead of a frame of fp16 beyond the graph launch, in microseconds"
    expected = f"less than {HOST_OVERHEAD_US:g}"
    facts = of.facts("fp16")
    if facts is None:
        return Expectation(name, expected, None, None, of.why_not("fp16"))
    overhead = facts["frame"]["host_overhead_us"]
    return Expectation(name, expected, overhead, overhead < HOST_OVERHEAD_US)


def _of_engine(task: Task, entry: Entry | None) -> list[Expectation]:
    """Return what is expected of an engine, of one that is not done only what its entry tells already."""
    facts = entry.facts if entry is not None else {}
    why = "" if entry is not None and entry.status == DONE else _why(task.kind, entry)
    found = []
    if (least := AGREEMENT.get(task.kind)) is not None:
        share = facts["agreement"]["share"] if "agreement" in facts else None
        name, expected = f"{task.name}: labels equal to ONNX Runtime's", f"at least {least:.1%} of the pixels"
        found.append(Expectation(name, expected, share, None if share is None else share >= least, why))
    verdict = facts["precision"]["verdict"] if "precision" in facts else None
    judged = verdict is not None and not verdict["undecided"]
    met = bool(verdict["passed"]) if verdict is not None and judged else None
    told = "" if verdict is None else verdict["undecided"] or "; ".join(verdict["failures"])
    name = f"{task.name}: built in the precision that was asked for"
    found.append(Expectation(name, "by TensorRT's own account", None, met, told or why))
    return found


def _why(kind: str, entry: Entry | None) -> str:
    return f"{kind}: {entry.problem or entry.status}" if entry is not None else f"{kind}: not run yet"
