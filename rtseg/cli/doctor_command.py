"""`rtseg doctor`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation.

    It shows what each package says of itself, then tries in turn what an engine needs: a driver, the kernels, a small
    graph, ONNX Runtime, an engine built, loaded, compared and timed. What needs a GPU is left out where there is none.
    Beside what does not work stands what mends it; the last line says what works here, and what to do next.
    """
    from rtseg.cli.show.installation_text import print_installation
    from rtseg.installation import installation_facts

    facts = installation_facts()
    if as_json:
        print_json(facts)
    else:
        print_installation(facts, table_console())
