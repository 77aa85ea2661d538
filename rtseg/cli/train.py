"""`rtseg train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, progress_bar, say
from rtseg.cli.options import ANY_PATH, KeyValueType, json_option
from rtseg.errors import TrainingError


@click.command()
@click.argument("network", required=False)
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name.")
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
@click.option("--backbone", metavar="FILE|random", help="A .pth of torchvision's ImageNet weights for the backbone.")
@click.option("--init", type=ANY_PATH, help="Start from these weights instead of random ones.")
@click.option("--device", help="cpu or cuda.  [cuda where there is a GPU]")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read pictures.")
@click.option("--precision", type=click.Choice(("fp32", "fp16")), default="fp32", show_default=True)
@click.option("--resume", is_flag=True, help="Go on with a run that was killed.")
@click.option("-o", "--output", type=ANY_PATH, help="The checkpoint.  [NETWORK-DATA.safetensors]")
@json_option
def train(
    network: str | None,
    factory: str | None,
    recipe_file: Path | None,
    data: str | None,
    options: tuple[tuple[str, str], ...],
    backbone: str | None,
    init: Path | None,
    device: str | None,
    workers: int,
    precision: str,
    resume: bool,
    output: Path | None,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train a network with its paper's loss.

    The checkpoint is the epoch that validates best; --resume goes on after a kill. A recipe that says
    backbone = "imagenet" needs --backbone FILE, or --backbone random to do without.

    \b
    Example: rtseg train affnet --data camvid:CamVid --epochs 100
    Example: rtseg train --recipe export/affnet-camvid.toml --data camvid:CamVid
    """
    from rtseg.datasets.registry import open_dataset
    from rtseg.networks.resolve import resolve_network
    from rtseg.recipes import TrainingRecipe, read_recipe
    from rtseg.report.training import training_text
    from rtseg.training.fit import default_device, fit

    if network and factory:
        raise click.UsageError("NETWORK and --module exclude each other")
    weights_file = None if backbone in (None, "random") else Path(str(backbone))
    if init and weights_file:
        raise click.UsageError("--init brings the backbone's weights too: --backbone FILE is for a run without it")
    changes["network"] = network or factory
    if backbone is not None:
        changes["backbone"] = "imagenet" if weights_file else "random"
    if options:
        changes["options"] = dict(options)
    if data is not None:
        changes["data"] = data if data.startswith("streets") else data.partition(":")[0]
    if recipe_file is not None:
        recipe = read_recipe(recipe_file).replaced(changes)
    else:
        given = {name: value for name, value in changes.items() if value is not None}
        if missing := {"network", "data", "epochs"} - set(given):
            raise click.UsageError(f"without --recipe these are needed: {', '.join(sorted(missing))}")
        recipe = TrainingRecipe(**given)
    source = data or recipe.data
    train_split, val_split = open_dataset(source, "train"), open_dataset(source, "val")
    is_factory = ":" in recipe.network
    prepared = resolve_network(
        None if is_factory else recipe.network,
        train_split.classes,
        factory=recipe.network if is_factory else None,
        checkpoint=init,
        options=recipe.options,
        seed=recipe.seed,
    )
    path = output or Path(f"{recipe.network.replace(':', '-')}-{recipe.data.partition(':')[0]}.safetensors")
    if os.path.exists(path):  # never raises, as Path.exists does where a folder may not be entered
        raise TrainingError(f"{path} exists already", hint="-o with another name")
    with progress_bar() as bar:
        manifest = fit(
            prepared,
            recipe,
            train_split,
            val_split,
            path,
            backbone=weights_file,
            resume=resume,
            device=device or default_device(),
            workers=workers,
            precision=precision,
            observer=_observer(bar, recipe.epochs),
        )
    if as_json:
        print_json({"path": str(path), "manifest": manifest.to_json()})
    else:
        say(training_text(manifest))
        click.echo(path)


def _observer(bar: Any, epochs: int) -> Any:
    from rtseg.training.epoch import TrainingObserver

    class Shown(TrainingObserver):
        """Draws the run's progress; a line stays for each epoch."""

        def __init__(self) -> None:
            self.task = bar.add_task("counting classes", total=None, note="")
            self.resumed_from = 0

        def counting(self, done: int, total: int) -> None:
            bar.update(self.task, completed=done, total=total)

        def resumed(self, epoch: int) -> None:
            self.resumed_from = epoch
            bar.console.print(f"resumed after epoch {epoch}")

        def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
            done = (epoch - 1 - self.resumed_from) * steps + step
            total = (epochs - self.resumed_from) * steps
            note = f"epoch {epoch}/{epochs}  loss {loss:.4f}"
            bar.update(self.task, description="training", completed=done, total=total, note=note)

        def epoch(self, record: dict[str, Any]) -> None:
            miou = f"  val mIoU {record['miou']:.2%}" if "miou" in record else ""
            bar.console.print(f"epoch {record['epoch']:>4}/{epochs}  loss {record['loss']:.4f}{miou}")

    return Shown()
