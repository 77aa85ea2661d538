"""`rtseg networks`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option, resolution_option
from rtseg.specs import Resolution


@click.command()
@resolution_option(required=False)
@click.option("--classes", "class_count", type=click.IntRange(2, 256), default=19, show_default=True)
@json_option
def networks(resolution: Resolution | None, class_count: int, as_json: bool) -> None:
    """List what can be built by name.

    Parameters and multiply-accumulates, the paper, what it states and what was inferred.

    Example: rtseg networks --resolution 1024x2048
    """
    from rtseg.networks.facts import network_facts
    from rtseg.report.networks import networks_text

    facts = network_facts(resolution or Resolution(512, 1024), class_count)
    if as_json:
        print_json(facts)
    else:
        networks_text(facts, table_console())
