"""Options that several commands share, each defined once."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from rtseg.errors import NetworkError, SpecError
from rtseg.runners.registry import DEFAULT_RUNNERS, runner_names
from rtseg.specs import MAX_SEED, Resolution

if TYPE_CHECKING:
    ResolutionParameter = click.ParamType[Resolution]
    KeyValueParameter = click.ParamType[tuple[str, str]]
else:
    # click before 8.4 has no type parameter here
    ResolutionParameter = KeyValueParameter = click.ParamType

Command = TypeVar("Command", bound=Callable[..., Any])

ANY_PATH = click.Path(path_type=Path, readable=False)
"""A path of any kind. The library reports what is wrong with it: an unreadable file is an error, not wrong usage."""

DATASETS = "streets, camvid:DIR, cityscapes:DIR, voc:DIR or own:DIR"
"""How the help of --data names the datasets with labels."""


HELP_WIDTH = 44
"""Columns of an option's help on a terminal of 80 columns."""


class ResolutionType(ResolutionParameter):
    """HEIGHTxWIDTH. Other text is wrong usage; a size that no network supports is an error."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Resolution:
        """Return the text as a Resolution.

        Raises SpecError for a size that no network supports.
        """
        if isinstance(value, Resolution):
            return value
        try:
            return Resolution.parse(value)
        except SpecError as error:
            if str(error).startswith("not a resolution"):
                self.fail(str(error), param, ctx)
            raise


class KeyValueType(KeyValueParameter):
    """NAME=VALUE. Other text is wrong usage."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the name and the value."""
        if isinstance(value, tuple):
            return value
        name, separator, choice = value.partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, choice


def unbroken(text: str) -> str:
    """Return an option's help with its lines already broken at spaces: click would also break at hyphens in names."""
    return "\b\n" + "\n".join(textwrap.wrap(text, HELP_WIDTH, break_on_hyphens=False))


def file_argument(name: str, **settings: Any) -> Callable[[Command], Command]:
    """Return a decorator that adds a path argument; settings go to click.argument."""
    return click.argument(name, type=ANY_PATH, **settings)


OPTION_HELP = "Option of the network; may be repeated."
entry_option = click.option(
    "--entry", metavar="NAME", help="Entry of FILE that holds the weights, such as ema.  [default: the one that fits]"
)


def network_options(command: Command) -> Command:
    """Add NETWORK, --module, --checkpoint, --entry, --classes, --option and --seed."""
    decorators = [
        click.argument("network", required=False),
        click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Function that builds your own network."),
        click.option("--checkpoint", type=ANY_PATH, metavar="FILE", help="Weights: .safetensors, .pth or .ckpt."),
        entry_option,
        click.option(
            "--classes",
            metavar="NAME|N|FILE",
            help="Classes: cityscapes, camvid, voc, streets, NAME+void, a number, or your own list, FILE.toml.  "
            "[default: the checkpoint's, else cityscapes]",
        ),
        click.option("--option", "options", type=KeyValueType(), multiple=True, help=OPTION_HELP),
        click.option(
            "--seed",
            type=click.IntRange(0, MAX_SEED),
            default=0,
            metavar="N",
            help="Seed of random weights.  [default: 0]",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def resolution_option(*, required: bool = True) -> Callable[[Command], Command]:
    """Return a decorator for --resolution."""
    return click.option(
        "--resolution",
        type=ResolutionType(),
        metavar="HxW",
        required=required,
        help="Height x width, such as 512x1024.",
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
runner_option = click.option(
    "--runner",
    type=click.Choice(runner_names()),
    metavar="NAME",
    help=unbroken(f"One of {', '.join(runner_names())}.  [default: onnxruntime, or what built the file]"),
)
onnx_runner_option = click.option(
    "--runner",
    type=click.Choice(runner_names("onnx")),
    default=DEFAULT_RUNNERS["onnx"],
    metavar="NAME",
    help=unbroken(f"One of {', '.join(runner_names('onnx'))}.  [default: {DEFAULT_RUNNERS['onnx']}]"),
)
split_option = click.option("--split", default="val", metavar="NAME", help="Split of the dataset.  [default: val]")
limit_option = click.option("--limit", type=click.IntRange(1), metavar="N", help="Use only the first N pictures.")
threads_option = click.option(
    "--threads", type=click.IntRange(0, 256), default=0, metavar="N", help="CPU threads.  [default: 0, which is all]"
)


def named_network(network: str | None, factory: str | None) -> str | None:
    """Return the network named by NETWORK or by --module, None if neither is given.

    Raises NetworkError if both are given, or if the factory is not written as package.module:factory.
    """
    if network is not None and factory is not None:
        raise NetworkError(
            "both a network and a factory are given", got=f"{network} and {factory}", expected="one of them"
        )
    if factory is not None and ":" not in factory:
        raise NetworkError("not a reference to a factory", got=repr(factory), expected="package.module:factory")
    return network if factory is None else factory
