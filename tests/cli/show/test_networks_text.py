"""The table of networks and the details of one, from facts as they are gathered."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from rtseg.cli.show.networks_text import print_network_details, print_networks
from rtseg.networks.facts import network_facts
from rtseg.specs import Resolution


def facts(**changes: Any) -> dict[str, Any]:
    return {**network_facts(Resolution(64, 96), 19, ["affnet"])[0], **changes}


def printed(show: Any, entries: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    show(entries, Console(file=stream, width=160, markup=False, highlight=False))
    return stream.getvalue()


def row_of(text: str) -> list[str]:
    line = next(line for line in text.splitlines() if "affnet" in line)
    return [word.strip() for word in line.strip("│ \n").split("│")]


def test_a_row_has_the_parameters_that_are_deployed() -> None:
    text = printed(print_networks, [facts()])
    assert row_of(text)[:3] == ["affnet", "1,619,894", "1.62 M"]
    assert "trained" not in text


def test_the_parameters_that_are_trained_are_shown_where_they_are_others() -> None:
    text = printed(print_networks, [facts(parameters=2_000_000), facts(name="other")])
    assert "trained" in text
    assert row_of(text)[:3] == ["affnet", "1,619,894", "2,000,000"]


def test_a_network_of_which_only_the_abstract_is_known_says_so_in_the_list() -> None:
    text = printed(print_networks, [facts(published_parameters=None, at_hand="abstract only")])
    assert "- (abstract only)" in row_of(text)


def test_the_list_leaves_the_source_of_what_is_published_to_the_details() -> None:
    entry = facts(published_parameters="2.1 M (AFFNet, Table V)")
    assert row_of(printed(print_networks, [entry]))[2] == "2.1 M"
    assert "published 2.1 M (AFFNet, Table V)" in printed(print_network_details, [entry])


def test_the_details_have_paper_options_and_backbone() -> None:
    text = printed(print_network_details, [facts(backbone="resnet18")])
    assert "Kuang et al." in text
    assert "option    fusion = concat+ewa | " in text
    assert "backbone  resnet18" in text
    assert "available full text" in text


def test_the_details_have_what_is_stated_inferred_and_printed() -> None:
    text = printed(print_network_details, [facts()])
    assert text.count("  stated    ") == len(facts()["stated"])
    assert text.count("  inferred  ") == len(facts()["inferred"])
    assert "paper     AFFNet, Table VI: cityscapes, 6 ms 166.6 FPS, RTX 2080, 512x512" in text
    assert "AFFNet, Table I: cityscapes, fusion=ewa, 67.28 % mIoU" in text
