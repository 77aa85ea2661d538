"""`rtseg networks`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option, resolution_option
from rtseg.specs import Resolution


@click.command()
@click.argument("names", metavar="[NETWORK]...", nargs=-1)
@resolution_option(required=False)
@click.option("--classes", "class_count", type=click.IntRange(2, 256), default=19, show_default=True)
@json_option
def networks(names: tuple[str, ...], resolution: Resolution | None, class_count: int, as_json: bool) -> None:
    """List networks, or show some in detail.

    The list has parameters, multiply-accumulates and loss. A network that is named comes with its paper, what that
    states, what was inferred, the options and the rows of the papers' tables; --json has all of it for each.

    \b
    Example: rtseg networks --resolution 1024x2048
    Example: rtseg networks affnet
    """
    from rtseg.cli.show.networks_text import print_network_details, print_networks
    from rtseg.pipeline.listing import DEFAULT_SIZE, network_list

    facts = network_list(names, resolution=resolution or DEFAULT_SIZE, classes=class_count)
    if as_json:
        print_json(facts)
        return
    console = table_console()
    print_networks(facts, console)
    if names:
        print_network_details(facts, console)
    else:
        console.print("paper, options and the papers' figures of one: rtseg networks NAME")
