from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.expectations import Expectation, expectations
from benchmarks.gpu_check.ledger import DONE, SKIPPED, UNFINISHED, Entry
from benchmarks.gpu_check.summary import expectation_line, line_of, summary_lines

LEAD = "affnet-camvid/1024x2048"
AS_ASKED = {"verdict": {"passed": True, "failures": [], "undecided": ""}}


def engine(share: float = 1.0, frame_ms: float = 1.0, overhead_us: float = 20.0) -> dict[str, Any]:
    return {
        "precision": AS_ASKED,
        "agreement": {"share": share},
        "engine": {"gpu": {"median_ms": 0.5}},
        "frame": {"host": {"median_ms": frame_ms}, "gpu": {"median_ms": 0.8}, "host_overhead_us": overhead_us},
        "frames_per_second": {"1": 1000.0, "4": 1500.0},
    }


def turns(**medians_ms: float) -> dict[str, Any]:
    return {"in_turns": {name.replace("_", " "): {"median_ms": value} for name, value in medians_ms.items()}}


def done(**facts: Mapping[str, Any]) -> dict[str, Entry]:
    return {f"{LEAD}/{kind.replace('_', '-')}": Entry(DONE, {}, 1, "", found) for kind, found in facts.items()}


@pytest.fixture
def lead(case: Case) -> Case:
    return replace(case, network="affnet-camvid", resolution="1024x2048")


def found(case: Case, entries: Mapping[str, Entry], words: str) -> Expectation:
    (one,) = [one for one in expectations([case], entries) if words in one.name]
    return one


@pytest.mark.parametrize(("torch_ms", "met"), [(10.0, True), (9.9, False)])
def test_the_frame_is_held_against_eager_torch_one_after_the_other(lead: Case, torch_ms: float, met: bool) -> None:
    one = found(lead, done(fp16=engine(), torch=turns(eager_fp32=torch_ms)), "eager FP32 torch")
    assert one.seen == pytest.approx(torch_ms) and one.met is met
    assert "one after the other" in one.note


def test_where_both_took_turns_that_is_what_counts(lead: Case) -> None:
    entries = done(fp16=engine(frame_ms=1.0), torch=turns(eager_fp32=10.0, engine_fp16=2.0))
    one = found(lead, entries, "eager FP32 torch")
    assert (one.seen, one.met, one.note) == (5.0, False, "in turns")


@pytest.mark.parametrize(("labels_ms", "met"), [(1.3, True), (1.29, False)])
def test_the_frame_is_held_against_the_plain_labels_engine(lead: Case, labels_ms: float, met: bool) -> None:
    one = found(lead, done(labels=turns(frame=1.0, labels=labels_ms)), "plain labels engine")
    assert one.seen == pytest.approx(labels_ms) and one.met is met


@pytest.mark.parametrize(("overhead_us", "met"), [(49.9, True), (50.0, False)])
def test_the_host_overhead_has_a_limit(lead: Case, overhead_us: float, met: bool) -> None:
    assert found(lead, done(fp16=engine(overhead_us=overhead_us)), "host overhead").met is met


@pytest.mark.parametrize(
    ("kind", "share", "met"),
    [("fp32", 0.999, True), ("fp32", 0.9989, False), ("fp16", 0.995, True), ("fp16", 0.99, False)],
)
def test_labels_have_to_agree_with_onnx_runtime(lead: Case, kind: str, share: float, met: bool) -> None:
    one = found(lead, done(**{kind: engine(share=share)}), f"{kind}: labels equal")
    assert (one.seen, one.met) == (share, met)


def test_no_share_is_promised_of_int8(lead: Case) -> None:
    names = [one.name for one in expectations([lead], done(int8=engine(share=0.1)))]
    assert not any("int8: labels equal" in name for name in names)


@pytest.mark.parametrize(
    ("verdict", "met", "told"),
    [
        ({"passed": False, "failures": ["all 40 in fp32"], "undecided": ""}, False, "all 40 in fp32"),
        ({"passed": False, "failures": [], "undecided": "another schema"}, None, "another schema"),
        ({"passed": True, "failures": [], "undecided": ""}, True, ""),
    ],
)
def test_an_engine_has_to_be_in_the_precision_asked_for(
    lead: Case, verdict: dict[str, Any], met: bool | None, told: str
) -> None:
    one = found(lead, done(int8={**engine(), "precision": {"verdict": verdict}}), "int8: built in the precision")
    assert (one.met, one.note) == (met, told)


def test_what_was_not_seen_says_why(lead: Case) -> None:
    entries = {
        f"{LEAD}/torch": Entry(SKIPPED, {}, 0, "no torch"),
        f"{LEAD}/fp16": Entry(UNFINISHED, {}, 1, "time was up"),
    }
    one = found(lead, entries, "eager FP32 torch")
    assert (one.seen, one.met) == (None, None)
    assert one.note == "torch: no torch; fp16: time was up"
    assert found(lead, {}, "host overhead").note == "fp16: not run yet"


def test_what_an_unfinished_entry_had_found_counts_already(lead: Case) -> None:
    entries = {f"{LEAD}/fp16": Entry(UNFINISHED, {}, 1, "time was up", {"agreement": {"share": 0.9}})}
    assert found(lead, entries, "fp16: labels equal").met is False


def test_nothing_is_expected_of_the_speed_of_other_sizes_and_networks(case: Case) -> None:
    others = [
        replace(case, network="affnet-camvid"),
        replace(case, resolution="1024x2048", checkpoint={"network": "x"}),
    ]
    assert all("times as fast" not in one.name and "overhead" not in one.name for one in expectations(others, {}))


def test_the_summary_tells_every_figure_and_every_expectation(lead: Case) -> None:
    entries = done(fp16=engine(share=0.9987), labels=turns(frame=1.0, labels=1.2))
    entries[f"{LEAD}/torch"] = Entry(SKIPPED, {}, 0, "no torch")
    expected = expectations([lead], entries)
    lines = summary_lines(entries, expected, 3)
    assert lines[0].startswith(
        f"{LEAD}/fp16: precision as asked, 99.870% of the labels agree, engine 0.500 ms, frame 1.000"
    )
    assert "host overhead 20.0 us, frames per second 1000 with 1, 1500 with 4" in lines[0]
    assert f"{LEAD}/torch: SKIPPED: no torch" in lines
    assert any(
        line.startswith("NOT MET   affnet-camvid/1024x2048: frame of fp16, times as fast as the plain")
        for line in lines
    )
    assert lines[-2] == "tasks: 2 done, 1 skipped, 3 waiting for another run"
    assert lines[-1] == "expectations: 3 met, 1 not met, 4 not seen"
    assert len(lines) == len(entries) + len(expected) + 4


def test_a_line_about_an_unfinished_entry_keeps_what_was_found() -> None:
    facts = {"build": {"from_cache": False, "build_seconds": 41.6}, "precision": AS_ASKED}
    line = line_of("a/b/fp16", Entry(UNFINISHED, {}, 1, "the time was up", facts))
    assert line == "a/b/fp16: UNFINISHED: the time was up (built in 42 s, precision as asked)"
    assert expectation_line(Expectation("a", "at least 1", None, None, "x")) == "not seen  a; expected at least 1 (x)"
