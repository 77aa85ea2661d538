"""`rtseg doctor`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation.

    It shows what works here, and the command that mends the rest.
    """
    from rtseg.cli.show.installation_text import print_installation
    from rtseg.installation import installation_facts

    facts = installation_facts()
    if as_json:
        print_json(facts)
    else:
        print_installation(facts, table_console())
