"""`rtseg audit`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option
from rtseg.specs import PRECISIONS


@click.command()
@file_argument("file")
@click.option("--against", type=ANY_PATH, metavar="OTHER", help="An engine to compare with: what changed since it.")
@click.option(
    "--expect",
    type=click.Choice(PRECISIONS),
    help="Fail when this is not what was built.  [the manifest's precision]",
)
@click.option("--profile", type=ANY_PATH, metavar="JSON", help="Times of layers: trtexec --exportProfile, {layer: ms}.")
@click.option("--against-profile", type=ANY_PATH, metavar="JSON", help="Times of the layers of OTHER.")
@click.option(
    "--card",
    "cards",
    multiple=True,
    metavar="NAME",
    help='A GPU, such as "RTX 3090", to tell the lower bound for; may be repeated.  [those that the engine is for]',
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

    The kernels and the bytes that they move are counted too.

    FILE is an engine with FILE.layers.json beside it, which rtseg build saves, or such a file itself: what TensorRT's
    engine inspector writes as JSON, by trtexec --exportLayerInfo too. Neither TensorRT nor a GPU is needed. An engine
    of TensorRT for RTX is proven for each compute capability that it was built for.

    Where --expect, or the manifest beside the engine, names a precision, the exit code is 1 when the convolutions and
    matrix products were not built in it.

    The lower bound is what a frame takes at least on a GPU: the operations of its products at the fastest rate, or what
    has to pass between cache and memory, whichever takes longer. It is computed, not measured. With --profile and one
    GPU the measured times stand beside it, with the part of them that the bound is.

    \b
    Example: rtseg audit affnet.engine --expect fp16
    Example: rtseg audit new.layers.json --against old.layers.json
    Example: rtseg audit affnet.engine --card "RTX 3090" --profile profile.json
    Example: rtseg audit affnet.engine --profile profile.json --json
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
