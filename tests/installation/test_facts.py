"""All that the doctor tells, as plain values."""

from __future__ import annotations

import json

import pytest

from rtseg.installation import installation_facts
from rtseg.installation.finding import Finding


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One package and one step."""
    monkeypatch.setattr("rtseg.installation.facts.package_findings", lambda: [Finding("torch", True, "2.13")])
    chain = [Finding("driver", None, "not tried: no driver")]
    monkeypatch.setattr("rtseg.installation.facts.walk_the_chain", lambda packages: chain)


def test_the_facts_are_plain_values_and_end_with_the_summary() -> None:
    facts = json.loads(json.dumps(installation_facts()))
    assert list(facts) == ["python", "machine", "cache", "versions", "findings", "chain", "summary"]
    assert facts["findings"] == [{"name": "torch", "works": True, "seen": "2.13", "mend": ""}]


def test_a_step_that_was_not_tried_is_null_in_json() -> None:
    (step,) = json.loads(json.dumps(installation_facts()))["chain"]
    assert step == {"name": "driver", "works": None, "seen": "not tried: no driver", "mend": ""}
