"""`rtseg audit`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option
from rtseg.specs import PRECISIONS


@click.command()
@file_argument("file")
@click.option("--against", type=ANY_PATH, metavar="OTHER", help="Engine to compare FILE with.")
@click.option(
    "--expect",
    type=click.Choice(PRECISIONS),
    help="Precision that FILE must have.  [default: the manifest's]",
)
@click.option(
    "--profile", type=ANY_PATH, metavar="JSON", help="Layer times: {layer: ms}, or from trtexec --exportProfile."
)
@click.option("--against-profile", type=ANY_PATH, metavar="JSON", help="Layer times of OTHER.")
@click.option(
    "--card",
    "cards",
    multiple=True,
    metavar="NAME",
    help='GPU for the lower bound, such as "RTX 3090"; may be repeated.  [default: those that FILE is for]',
)
@json_option
def audit(
    file: Path,
    against: Path | None,
    expect: str | None,
    profile: Path | None,
    against_profile: Path | None,
    cards: tuple[str, ...],
    as_json: bool,
) -> None:
    """Prove which precisions an engine was built in.

    The report also counts the kernels and the bytes that they move. It needs neither TensorRT nor a GPU.

    FILE is an engine with FILE.layers.json beside it (rtseg build writes both), or the JSON file that TensorRT's engine
    inspector writes (trtexec --exportLayerInfo). A TensorRT for RTX engine is checked for each compute capability
    that it was built for.

    If --expect or the manifest names a precision, and the convolutions and matrix products were not built in it, the
    exit code is 1.

    The lower bound is the least time that a GPU can need for a frame: for its convolutions and matrix products at the
    highest rate, or for the data that must pass between cache and memory, whichever is longer. It is computed, not
    measured. With --profile and one GPU, the measured times stand beside it, and the bound as a share of them.

    \b
    Examples:
      rtseg audit tests/data/inspector/fp16-11.json --expect fp16
      rtseg audit tests/data/inspector/int8-8.5.json \\
        --against tests/data/inspector/fp16-8.5.json
      rtseg audit tests/data/inspector/fp16-8.5.json --card "RTX 3090" \\
        --profile tests/data/inspector/fp16-8.5.profile.json
    """
    if against_profile is not None and against is None:
        raise click.UsageError("--against-profile needs --against")
    import rtseg
    from rtseg.cli.show.audit_text import print_audit

    result = rtseg.audit(
        file, expect=expect, against=against, profile=profile, against_profile=against_profile, cards=cards
    )
    if as_json:
        print_json(result.to_json())
    else:
        print_audit(result.to_json(), table_console())
    if result.verdict is not None:
        result.verdict.require()
