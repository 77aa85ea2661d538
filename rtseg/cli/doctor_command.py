"""`rtseg doctor`."""

from __future__ import annotations

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation.

    The command lists the packages and their versions. Then it tries each step that an engine needs: the driver, the
    kernels, a small graph, ONNX Runtime, and an engine that is built, loaded, compared and timed. Without a GPU it
    skips the steps that need one. Each failure comes with a remedy. The last line says what works here and what to do
    next.

    \b
    Examples:
      rtseg doctor
      rtseg doctor --json
    """
    from rtseg.cli.show.installation_text import print_installation
    from rtseg.installation import installation_facts

    facts = installation_facts()
    if as_json:
        print_json(facts)
    else:
        print_installation(facts, table_console())
