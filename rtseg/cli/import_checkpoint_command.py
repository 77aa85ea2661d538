"""`rtseg import-checkpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import (
    ANY_PATH,
    OPTION_HELP,
    KeyValueType,
    entry_option,
    file_argument,
    json_option,
    resolution_option,
    unbroken,
)
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.pipeline.arguments import DEFAULT_RESOLUTION
from rtseg.specs import Resolution


@click.command("import-checkpoint")
@click.argument("network", metavar="NETWORK|PKG.MOD:FACTORY")
@file_argument("source", metavar="FILE")
@click.option(
    "--classes", required=True, metavar="NAME|N|FILE", help="Classes it was trained for; NAME+void has one more."
)
@click.option("--option", "options", type=KeyValueType(), multiple=True, help=OPTION_HELP)
@entry_option
@resolution_option(required=False)
@own_network_options
@click.option(
    "--precision", type=click.Choice(("fp32", "fp16")), default="fp32", help="Precision to store.  [default: fp32]"
)
@click.option(
    "-o",
    "output",
    type=ANY_PATH,
    metavar="FILE",
    help=unbroken("Checkpoint to write.  [default: NETWORK-CLASSES.safetensors]"),
)
@click.option("--verbose", is_flag=True, help="List what became of every key.")
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
    """Convert weights from other code into a checkpoint.

    FILE comes from torch.save or safetensors: .pth, .pt, .ckpt, .pth.tar or .safetensors. The command removes what
    training puts around the names: an entry such as state_dict, a prefix such as module. or model. Each key is taken,
    renamed, or dropped because the network does not compute with it; --verbose lists them. A missing key is an error,
    and so is one that is left over. Code in the file is never run.

    --resolution is the size of training (512x1024 by default). The checkpoint records it, and your own network is tried
    at it.

    \b
    Examples:
      rtseg import-checkpoint affnet \\
        export/checkpoints/affnet-camvid.safetensors --classes camvid
      rtseg import-checkpoint s2fpn18 --verbose -o s2fpn18.safetensors \\
        export/checkpoints/s2fpn18-camvid.safetensors --classes camvid
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
