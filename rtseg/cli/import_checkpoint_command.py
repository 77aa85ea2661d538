"""`rtseg import-checkpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, KeyValueType, entry_option, file_argument, json_option, resolution_option
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.pipeline.arguments import DEFAULT_RESOLUTION
from rtseg.specs import Resolution


@click.command("import-checkpoint")
@click.argument("network", metavar="NETWORK|PKG.MOD:FACTORY")
@file_argument("source", metavar="FILE")
@click.option("--classes", required=True, metavar="NAME|N", help="What it was trained for; NAME+void has one more.")
@click.option("--option", "options", type=KeyValueType(), multiple=True, help="An option of the network.")
@entry_option
@resolution_option(required=False)
@own_network_options
@click.option("--precision", type=click.Choice(("fp32", "fp16")), default="fp32", show_default=True)
@click.option("-o", "output", type=ANY_PATH, help="The checkpoint.  [NETWORK-CLASSES.safetensors]")
@click.option("--verbose", is_flag=True, help="List every key that was renamed or dropped.")
@json_option
def import_checkpoint(
    network: str,
    source: Path,
    classes: str,
    options: tuple[tuple[str, str], ...],
    entry: str | None,
    resolution: Resolution | None,
    head: str | None,
    threshold: float | None,
    precision: str,
    output: Path | None,
    verbose: bool,
    as_json: bool,
    **pixels: Any,
) -> None:
    """Make a checkpoint of weights that others wrote.

    FILE is what torch.save or safetensors wrote: .pth, .pt, .ckpt, .pth.tar, .safetensors. What training put around the
    names is taken off: an entry such as state_dict, a prefix such as module. or model. Every key is accounted for:
    taken, renamed, or dropped because nothing computes with it; --verbose lists them. A key that is missing or left
    over is an error. Code in the file is never run. --resolution is the size it was trained at: it is noted, and a
    network of your own is tried out at it. [512x1024]

    \b
    Example: rtseg import-checkpoint espnet espnet_p_2_q_8_camvid.pth --classes camvid+void
    """
    import rtseg
    from rtseg.cli.show.checkpoint_text import key_report_text

    with watched() as observer:
        result = rtseg.import_checkpoint(
            network,
            source,
            output,
            classes=classes,
            options=dict(options),
            entry=entry,
            resolution=resolution or DEFAULT_RESOLUTION,
            head=head,
            threshold=threshold,
            **preprocessing(**pixels),
            precision=precision,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        say(key_report_text(result.artifact.manifest, verbose=verbose))
        click.echo(result.artifact.path)
