"""`rtseg doctor`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what works in this installation, and what mends the rest."""
    from rtseg.installation import installation_facts
    from rtseg.report.installation import installation_text

    facts = installation_facts()
    if as_json:
        print_json(facts)
    else:
        installation_text(facts, table_console())
