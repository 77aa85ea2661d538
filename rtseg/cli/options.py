"""Options that several commands share, each defined once."""

from __future__ import annotations

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
"""A path of any kind: the library says what is wrong with it, and a file it may not read is no wrong usage."""


class ResolutionType(ResolutionParameter):
    """HEIGHTxWIDTH. Text that is none is wrong usage; a size no network is meant for is an error."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Resolution:
        """Return the resolution."""
        if isinstance(value, Resolution):
            return value
        try:
            return Resolution.parse(value)
        except SpecError as error:
            if str(error).startswith("not a resolution"):
                self.fail(str(error), param, ctx)
            raise


class KeyValueType(KeyValueParameter):
    """NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        name, separator, choice = value.partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, choice


def file_argument(name: str, **settings: Any) -> Callable[[Command], Command]:
    """Return a decorator for a path argument."""
    return click.argument(name, type=ANY_PATH, **settings)


entry_option = click.option(
    "--entry", metavar="NAME", help="Where in a file of weights they are, such as ema.  [wherever they fit]"
)


def network_options(command: Command) -> Command:
    """Add NETWORK, --module, --checkpoint, --entry, --classes, --option and --seed."""
    decorators = [
        click.argument("network", required=False),
        click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name."),
        click.option("--checkpoint", type=ANY_PATH, help="Weights: .safetensors, .pth, .ckpt."),
        entry_option,
        click.option(
            "--classes",
            metavar="NAME|N",
            help="Class list: cityscapes, camvid, voc, streets, NAME+void, or a number.  [cityscapes]",
        ),
        click.option("--option", "options", type=KeyValueType(), multiple=True, help="An option of the network."),
        click.option(
            "--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Seed of random weights."
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


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of a table.")
runner_option = click.option(
    "--runner", type=click.Choice(runner_names()), help="What runs the file.  [onnxruntime; what built the file]"
)
onnx_runner_option = click.option(
    "--runner",
    type=click.Choice(runner_names("onnx")),
    default=DEFAULT_RUNNERS["onnx"],
    show_default=True,
    help="What runs the graphs.",
)
threads_option = click.option("--threads", type=click.IntRange(0, 256), default=0, help="CPU threads; 0 is all cores.")


def named_network(network: str | None, factory: str | None) -> str | None:
    """Return what the two ways to name a network say. Raises NetworkError for both, and a factory without a module."""
    if network is not None and factory is not None:
        raise NetworkError(
            "a network is named and a factory given", got=f"{network} and {factory}", expected="one of them"
        )
    if factory is not None and ":" not in factory:
        raise NetworkError("not a reference to a factory", got=repr(factory), expected="package.module:factory")
    return network if factory is None else factory
