"""`rtseg train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, KeyValueType, json_option
from rtseg.cli.preprocessing_options import PREPROCESSING, head_option, preprocessing, preprocessing_options


@click.command()
@click.argument("network", required=False)
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name.")
@head_option
@preprocessing_options
@click.option("--recipe", "recipe_file", type=ANY_PATH, help="A TOML recipe; options override it.")
@click.option("--data", help="camvid:PATH, cityscapes:PATH, voc:PATH or streets.")
@click.option("--epochs", type=click.IntRange(1))
@click.option("--batch-size", type=click.IntRange(1))
@click.option("--crop", metavar="HxW", help="Size of a training sample.")
@click.option("--learning-rate", type=float)
@click.option("--weight-decay", type=float)
@click.option("--optimizer", type=click.Choice(("adam", "sgd")))
@click.option("--seed", type=int)
@click.option("--option", "options", type=KeyValueType(), multiple=True, help="An option of the network.")
@click.option("--loss", metavar="NAME", help="Another loss than the network's own.")
@click.option(
    "--backbone", metavar="FILE|random", help="Weights of the backbone: a .pth of torchvision, or a checkpoint."
)
@click.option("--init", type=ANY_PATH, help="Start from these weights instead of random ones.")
@click.option("--device", help="cpu or cuda.  [cuda where there is a GPU]")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read pictures.")
@click.option("--precision", type=click.Choice(("fp32", "fp16")), default="fp32", show_default=True)
@click.option("--heads/--no-heads", default=True, help="Whether the checkpoint keeps the auxiliary heads.  [heads]")
@click.option("--resume", is_flag=True, help="Go on with a run that was killed.")
@click.option("-o", "output", type=ANY_PATH, help="The checkpoint.  [NETWORK-DATA.safetensors]")
@json_option
def train(
    network: str | None,
    factory: str | None,
    head: str | None,
    recipe_file: Path | None,
    data: str | None,
    options: tuple[tuple[str, str], ...],
    backbone: str | None,
    init: Path | None,
    device: str | None,
    workers: int,
    precision: str,
    heads: bool,
    resume: bool,
    output: Path | None,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train a network with its paper's loss.

    The checkpoint is the epoch that validates best; --resume goes on after a kill. A recipe that says
    backbone = "imagenet" needs --backbone FILE.pth, one that says "checkpoint" --backbone FILE.safetensors, of any
    network with that backbone; --backbone random does without.

    \b
    Example: rtseg train affnet --data camvid:CamVid --epochs 100
    Example: rtseg train --recipe export/affnet-camvid.toml --data camvid:CamVid
    """
    import rtseg
    from rtseg.cli.show.training_text import training_text
    from rtseg.pipeline.checkpoint_stages import training_recipe

    if network and factory:
        raise click.UsageError("NETWORK and --module exclude each other")
    weights_file = None if backbone in (None, "random") else Path(str(backbone))
    if init and weights_file:
        raise click.UsageError("--init brings the backbone's weights too: --backbone FILE is for a run without it")
    changes["network"] = network or factory
    if backbone is not None:
        from_file = "checkpoint" if weights_file and weights_file.suffix == ".safetensors" else "imagenet"
        changes["backbone"] = from_file if weights_file else "random"
    if options:
        changes["options"] = dict(options)
    if data is not None:
        changes["data"] = data if data.startswith("streets") else data.partition(":")[0]
    pixels = {name: changes.pop(name) for name in PREPROCESSING}
    lacking = [name for name in ("data", "epochs", "network") if changes.get(name) is None]
    if recipe_file is None and lacking:
        raise click.UsageError(f"without --recipe these are needed: {', '.join(lacking)}")
    recipe = training_recipe(recipe_file, changes)
    with watched() as observer:
        result = rtseg.train(
            recipe,
            output,
            data=data,
            init=init,
            backbone=weights_file,
            device=device,
            workers=workers,
            precision=precision,
            heads=heads,
            head=head,
            **preprocessing(**pixels),
            resume=resume,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        say(training_text(result.artifact.manifest))
        click.echo(result.artifact.path)
