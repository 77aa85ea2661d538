"""What the papers say of one network, from all their tables."""

from __future__ import annotations

import json

from rtseg.papers.claims import PaperClaim, at_hand, claims_of


def speeds(network: str, size: tuple[int | None, int | None]) -> list[tuple[str, float | None, float | None]]:
    return [
        (claim.source, claim.latency_ms, claim.fps)
        for claim in claims_of(network)
        if (claim.height, claim.width) == size
    ]


def test_a_row_with_three_sizes_gives_a_claim_for_each() -> None:
    assert speeds("affnet", (512, 512)) == [("AFFNet, Table VI", 6.0, 166.6)]
    assert speeds("affnet", (512, 1024)) == [("AFFNet, Table VI", 16.0, 62.5)]


def test_the_accuracy_beside_a_speed_is_in_its_claim() -> None:
    claim = next(claim for claim in claims_of("affnet") if claim.source == "AFFNet, abstract")
    assert (claim.height, claim.fps, claim.miou_percent) == (1024, 35.7, 70.8)


def test_a_network_has_the_claims_of_other_papers_tables() -> None:
    assert speeds("erfnet", (512, 512)) == [("AFFNet, Table VI", 12.0, 83.3)]


def test_a_speed_at_an_assumed_size_is_a_claim_without_one() -> None:
    claim = next(claim for claim in claims_of("affnet") if claim.source == "AFFNet, Table III")
    assert (claim.height, claim.fps) == (None, 41.7)
    assert "no size is stated" in claim.note


def test_a_claim_about_a_variant_names_its_options() -> None:
    claim = next(claim for claim in claims_of("affnet") if claim.miou_percent == 67.28)
    assert claim.options == {"fusion": "ewa"}


def test_the_same_network_from_abstract_and_readme_has_both_claims() -> None:
    sources = [(source, fps) for source, _, fps in speeds("s2fpn18", (512, 1024))]
    assert sources == [("S2-FPN, abstract", 87.3), ("S2-FPN, README, S2FPNv1", 87.3)]


def test_the_group_means_of_classes_are_no_claim_of_accuracy() -> None:
    assert not [claim for claim in claims_of("affnet") if "Table VII" in claim.source]


def test_a_network_in_no_table_has_no_claims() -> None:
    assert claims_of("a network of your own") == []


def test_a_claim_goes_to_json() -> None:
    claim = claims_of("haff")[0]
    assert PaperClaim(**json.loads(json.dumps(claim.to_json()))) == claim


def test_what_was_at_hand_is_known_of_the_papers_own_networks_only() -> None:
    assert at_hand("haff") == "abstract only"
    assert at_hand("erfnet") == ""
