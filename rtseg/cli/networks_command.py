"""`rtseg networks`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option, resolution_option
from rtseg.specs import Resolution


@click.command()
@click.argument("names", metavar="[NETWORK]...", nargs=-1)
@resolution_option(required=False)
@click.option(
    "--classes",
    "class_count",
    type=click.IntRange(2, 256),
    default=19,
    metavar="N",
    help="Number of classes.  [default: 19]",
)
@json_option
def networks(names: tuple[str, ...], resolution: Resolution | None, class_count: int, as_json: bool) -> None:
    """List networks, or show some in detail.

    The list has parameters, multiply-accumulates and loss. For each NETWORK that you name, the command also shows the
    paper, what the paper states, what rtseg inferred, the options, and the results that papers print. --json has all of
    this for every network.

    \b
    Examples:
      rtseg networks --resolution 1024x2048
      rtseg networks affnet
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
        console.print("for the paper, the options and the papers' results of a network: rtseg networks NAME")
