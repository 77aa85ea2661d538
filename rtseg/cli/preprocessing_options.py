"""Options for what only a network's author knows: which output holds the logits, and how its input is prepared."""

from __future__ import annotations

from typing import Any

import click

from rtseg.cli.options import Command
from rtseg.specs import COLOUR_ORDERS, FITS, NORMALIZATIONS, Normalization

THREE = (float, float, float)
PREPROCESSING = ("normalization", "mean", "std", "scale", "colour_order", "fit", "padding")
"""The parameters that preprocessing_options adds to a command."""


head_option = click.option(
    "--output", "head", metavar="NAME|INDEX", help="Output of your own network that holds the logits."
)
threshold_option = click.option(
    "--threshold",
    type=float,
    metavar="NUMBER",
    help="Threshold of a single output channel (two classes).  [default: 0.5 for probabilities, else 0]",
)


def own_network_options(command: Command) -> Command:
    """Add --output, --threshold and the options of preprocessing_options."""
    return head_option(threshold_option(preprocessing_options(command)))


def preprocessing_options(command: Command) -> Command:
    """Add --normalization, --mean, --std, --scale, --colour-order, --resize and --pad-value."""
    decorators = [
        click.option(
            "--normalization",
            type=click.Choice(tuple(NORMALIZATIONS)),
            help="imagenet: ImageNet's mean and std; unit: pixels from 0 to 1.",
        ),
        click.option("--mean", type=THREE, metavar="3 NUMBERS", help="Mean in (pixel * scale - mean) / std."),
        click.option("--std", type=THREE, metavar="3 NUMBERS", help="Standard deviation, for each channel."),
        click.option(
            "--scale",
            type=click.FloatRange(0, min_open=True),
            metavar="NUMBER",
            help="Factor of the pixel values, such as 1 or 0.00392157 (1/255).",
        ),
        click.option(
            "--colour-order",
            type=click.Choice(COLOUR_ORDERS),
            help="Order of the channels, of --mean and of --std.  [default: RGB]",
        ),
        click.option(
            "--resize",
            "fit",
            type=click.Choice(FITS),
            help="How pictures are fitted to the input size.  [default: stretch]",
        ),
        click.option(
            "--pad-value",
            "padding",
            type=click.IntRange(0, 255),
            metavar="N",
            help="Pixel value of the border of a letterbox.  [default: 114]",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def preprocessing(
    *,
    normalization: str | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    scale: float | None,
    colour_order: str | None,
    fit: str | None,
    padding: int | None,
) -> dict[str, Any]:
    """Return the arguments normalization, fit and padding of a stage; None for an option that was not given.

    Raises click.UsageError for options that contradict each other.
    """
    said = said_normalization(normalization, scale, mean, std, colour_order)
    return {"normalization": said, "fit": fit, "padding": padding}


def said_normalization(
    name: str | None,
    scale: float | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    colour_order: str | None,
) -> Normalization | None:
    """Return the normalisation that the options describe together, None if none was given.

    Raises click.UsageError for options that contradict each other or are incomplete.
    """
    numbers = (scale, mean, std)
    order = colour_order or COLOUR_ORDERS[0]
    if name is not None:
        if any(number is not None for number in numbers):
            raise click.UsageError("--normalization already sets --mean, --std and --scale")
        chosen = NORMALIZATIONS[name]
        mirrored = order != chosen.colour_order
        means, deviations = (values[::-1] if mirrored else values for values in (chosen.mean, chosen.std))
        return Normalization(order, chosen.scale, means, deviations)
    if scale is not None and mean is not None and std is not None:
        return Normalization(order, scale, mean, std)
    if colour_order is not None and all(number is None for number in numbers):
        raise click.UsageError("--colour-order needs --normalization, or --mean, --std and --scale together")
    if any(number is not None for number in numbers):
        raise click.UsageError(
            "--mean, --std and --scale go together (--scale 0.00392157 is 1/255), or use --normalization instead"
        )
    return None
