"""`rtseg train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, DATASETS, OPTION_HELP, KeyValueType, json_option, unbroken
from rtseg.cli.preprocessing_options import PREPROCESSING, head_option, preprocessing, preprocessing_options


@click.command()
@click.argument("network", required=False)
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Function that builds your own network.")
@head_option
@preprocessing_options
@click.option("--recipe", "recipe_file", type=ANY_PATH, metavar="TOML", help="Recipe; options override it.")
@click.option("--data", metavar="DATASET", help=f"{DATASETS}.")
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Epochs, each over all training pictures.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Samples in a step.  [default: 8]")
@click.option("--crop", metavar="HxW", help="Size of a training sample.  [default: 360x480]")
@click.option("--learning-rate", type=float, metavar="NUMBER", help="Highest rate.  [default: 0.0005]")
@click.option("--weight-decay", type=float, metavar="NUMBER", help="Weight decay.  [default: 0.0001]")
@click.option("--optimizer", type=click.Choice(("adam", "sgd")), help="Optimizer.  [default: adam]")
@click.option("--seed", type=int, metavar="N", help="Seed of all random choices.  [default: 0]")
@click.option("--option", "options", type=KeyValueType(), multiple=True, help=OPTION_HELP)
@click.option("--loss", metavar="NAME", help="Loss.  [default: the network's own]")
@click.option(
    "--backbone", metavar="FILE|random", help="Weights of the backbone: a .pth of torchvision, or a checkpoint."
)
@click.option("--init", type=ANY_PATH, metavar="FILE", help="Start from these weights.  [default: random ones]")
@click.option("--device", metavar="NAME", help="cpu or cuda.  [default: cuda if there is a GPU]")
@click.option(
    "--workers", type=click.IntRange(0), default=0, metavar="N", help="Processes that read pictures.  [default: 0]"
)
@click.option(
    "--precision",
    type=click.Choice(("fp32", "fp16")),
    default="fp32",
    help="Precision of the weights in the checkpoint.  [default: fp32]",
)
@click.option(
    "--heads/--no-heads", default=True, help="Keep the auxiliary heads in the checkpoint.  [default: --heads]"
)
@click.option("--resume", is_flag=True, help="Continue a run that was stopped.")
@click.option(
    "-o",
    "output",
    type=ANY_PATH,
    metavar="FILE",
    help=unbroken("Checkpoint to write.  [default: NETWORK-DATA.safetensors]"),
)
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

    The checkpoint has the weights of the epoch with the best mIoU in validation. NETWORK is a name that rtseg networks
    lists; --module or a recipe takes its place.

    A recipe with backbone = "imagenet" needs --backbone FILE.pth. A recipe with "checkpoint" needs --backbone
    FILE.safetensors, from any network with that backbone. --backbone random trains without either.

    \b
    Examples:
      rtseg train affnet --data streets:64x96 --crop 64x96 --epochs 1
      rtseg train --recipe export/affnet-streets.toml --epochs 1 \\
        --data streets:64x96 --crop 64x96 --batch-size 16 -o affnet.safetensors
    """
    import rtseg
    from rtseg.cli.show.training_text import export_command, training_text
    from rtseg.pipeline.checkpoint_stages import training_recipe

    if network and factory:
        raise click.UsageError("NETWORK and --module exclude each other")
    weights_file = None if backbone in (None, "random") else Path(str(backbone))
    if init and weights_file:
        raise click.UsageError("--init and --backbone FILE exclude each other: --init has the backbone's weights too")
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
        raise click.UsageError(f"without --recipe, these are required: {', '.join(lacking)}")
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
        say(export_command(result.artifact))
        click.echo(result.artifact.path)
