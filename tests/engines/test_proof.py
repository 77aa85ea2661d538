"""What the inspector's text proves of a request for a precision, and what it leaves open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtseg.engines.proof import prove_precision
from rtseg.engines.proof_words import shares_text

DATA = Path(__file__).resolve().parents[1] / "data" / "inspector"


def layers(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def test_the_shares_are_counts_in_plain_json() -> None:
    proof = prove_precision(layers("int8-8.5.json"), "int8")
    assert proof.verdict.passed
    assert proof.shares is not None and json.loads(json.dumps(proof.shares)) == proof.shares
    assert proof.shares["weighted"] == {"int8": 3, "fp16": 1}
    assert sum(proof.shares["precisions"].values()) == proof.shares["layers"]
    assert (proof.shares["reformats"], proof.shares["unfused"]) == (1, 4)


def test_the_shares_are_told_in_one_line() -> None:
    shares = prove_precision(layers("int8-8.5.json"), "int8").shares
    assert shares is not None
    assert shares_text(shares) == (
        "INT8 3, FP16 1 of 4 convolutions and matrix products; reformat layers: 1, Q/DQ that stand alone: 4"
    )
    assert "TF32 4 of 4" in shares_text(prove_precision(layers("fp16-asked-fp32-built-11.json"), "fp16").shares or {})


def test_what_was_not_asked_for_fails_and_keeps_its_counts() -> None:
    proof = prove_precision(layers("fp16-asked-fp32-built-8.6.json"), "fp16")
    assert not proof.verdict.passed and proof.verdict.failures and not proof.verdict.undecided
    assert proof.verdict.sentence().startswith(
        "fp16 was requested, but the compiler chose another precision; got all 4"
    )
    assert proof.shares is not None


@pytest.mark.parametrize("text", ["", "[1", "{}", '{"Layers": []}', '{"Layers": ["conv"]}', '{"Strata": [{}]}'])
def test_a_text_of_another_form_speaks_neither_for_the_engine_nor_against_it(text: str) -> None:
    proof = prove_precision(text, "fp16")
    assert proof.shares is None
    assert proof.verdict.undecided.startswith("the inspector's text ")
    assert not proof.verdict.passed and proof.verdict.failures == ()
    assert proof.to_json()["verdict"]["undecided"] == proof.verdict.undecided
