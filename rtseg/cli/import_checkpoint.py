"""`rtseg import-checkpoint`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say
from rtseg.cli.options import ANY_PATH, KeyValueType, file_argument, json_option, resolution_option
from rtseg.specs import Resolution


@click.command("import-checkpoint")
@click.argument("network")
@file_argument("source", metavar="FILE")
@click.option("--classes", required=True, metavar="NAME|N", help="What it was trained for; NAME+void has one more.")
@click.option("--option", "options", type=KeyValueType(), multiple=True, help="An option of the network.")
@resolution_option(required=False)
@click.option("--precision", type=click.Choice(("fp32", "fp16")), default="fp32", show_default=True)
@click.option("-o", "--output", type=ANY_PATH, help="The checkpoint.  [NETWORK-CLASSES.safetensors]")
@json_option
def import_checkpoint(
    network: str,
    source: Path,
    classes: str,
    options: tuple[tuple[str, str], ...],
    resolution: Resolution | None,
    precision: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Turn a .pth file of a network's authors into a checkpoint.

    Every key of the file is accounted for: taken, renamed, or dropped because nothing computes with
    it. A key that is missing or left over is an error. Code in the file is never run. --resolution is
    the size it was trained at, and is only noted.  [512x1024]

    Example: rtseg import-checkpoint espnet espnet_p_2_q_8_camvid.pth --classes camvid+void
    """
    from rtseg.datasets.registry import class_spec
    from rtseg.networks.checkpoints import import_pth, save_checkpoint
    from rtseg.report.checkpoint import key_report_text

    spec = class_spec(classes)
    prepared, report = import_pth(source, network, spec, options=dict(options))
    path = output or Path(f"{network}-{spec.dataset or f'{len(spec)}classes'}.safetensors")
    size = resolution or Resolution(512, 1024)
    details = {"source": source.name, "keys": report.to_json()}
    manifest = save_checkpoint(path, prepared, size, precision=precision, details=details)
    if as_json:
        print_json({"path": str(path), "manifest": manifest.to_json()})
    else:
        say(key_report_text(source.name, report))
        click.echo(path)
