"""A ledger in plain lines, for the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu_check.expectations import Expectation
from benchmarks.gpu_check.ledger import DONE, Entry

WORDS = {True: "met", False: "NOT MET", None: "not seen"}


def line_of(name: str, entry: Entry) -> str:
    """Return one line about an entry."""
    told = _told(entry.facts) if entry.facts else ""
    if entry.status == DONE:
        return f"{name}: {told}"
    return f"{name}: {entry.status.upper()}: {entry.problem}" + (f" ({told})" if told else "")


def expectation_line(one: Expectation) -> str:
    """Return one line about an expectation."""
    seen = "" if one.seen is None else f", seen {one.seen:.4g}"
    return f"{WORDS[one.met]:<8}  {one.name}; expected {one.expected}{seen}" + (f" ({one.note})" if one.note else "")


def summary_lines(entries: Mapping[str, Entry], expected: Sequence[Expectation], waiting: int) -> list[str]:
    """Return all that a person wants to know at the end of a run."""
    counts = [f"{sum(entry.status == status for entry in entries.values())} {status}" for status in _statuses(entries)]
    met = [sum(one.met is value for one in expected) for value in WORDS]
    return [
        *(line_of(name, entry) for name, entry in entries.items()),
        "",
        *map(expectation_line, expected),
        "",
        f"tasks: {', '.join(counts) or 'none'}, {waiting} waiting for another run",
        f"expectations: {met[0]} met, {met[1]} not met, {met[2]} not seen",
    ]


def _statuses(entries: Mapping[str, Entry]) -> list[str]:
    return list(dict.fromkeys(entry.status for entry in entries.values()))


def _told(facts: Mapping[str, Any]) -> str:
    """Return the findings in words, in the order in which they are found."""
    told = []
    if build := facts.get("build"):
        told.append("taken from the cache" if build["from_cache"] else f"built in {build['build_seconds']:.0f} s")
    if precision := facts.get("precision"):
        verdict = precision["verdict"]
        passed = "as asked" if verdict["passed"] else "UNDECIDED" if verdict["undecided"] else "NOT AS ASKED"
        told.append(f"precision {passed}")
    if agreement := facts.get("agreement"):
        if "share" in agreement:
            told.append(f"{agreement['share']:.3%} of the labels agree")
        else:
            told += [f"{way}: {one['share']:.3%} of the labels agree" for way, one in agreement.items()]
    if engine := facts.get("engine"):
        told.append(f"engine {engine['gpu']['median_ms']:.3f} ms")
    if network := facts.get("network"):
        told.append(f"network {network['gpu']['median_ms']:.3f} ms")
    if frame := facts.get("frame"):
        told.append(f"frame {frame['host']['median_ms']:.3f} ms, of that GPU {frame['gpu']['median_ms']:.3f} ms")
        told.append(f"host overhead {frame['host_overhead_us']:.1f} us")
    if rates := facts.get("frames_per_second"):
        told.append("frames per second " + ", ".join(f"{rate:.0f} with {number}" for number, rate in rates.items()))
    if turns := facts.get("in_turns"):
        told += [f"{way} {times['median_ms']:.3f} ms" for way, times in turns.items()]
    return ", ".join(told)
