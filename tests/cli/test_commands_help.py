"""The help of each command: it fits 80 columns, cuts and breaks nothing, and its examples are commands that work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rtseg.cli import cli
from rtseg.training.recipe import TrainingRecipe

ROOT = Path(__file__).resolve().parents[2]
GROUP = ""
COMMANDS = sorted(cli.commands)
READ_BY_EXAMPLES = ("calibration", "engines", "export", "tests")
"""Folders of a clone with the files that examples name."""


def help_of(command: str) -> str:
    """Return what a terminal of 80 columns shows."""
    shown = CliRunner().invoke(cli, [*([command] if command else []), "--help"], terminal_width=80)
    assert shown.exit_code == 0
    return shown.output


def examples_of(command: str) -> list[str]:
    """Return the commands below "Examples:", each as one line."""
    block = help_of(command).partition("\n  Examples:\n")[2].partition("\n\n")[0]
    return re.sub(r"\\\n *", "", re.sub(r"^    ", "", block, flags=re.MULTILINE)).splitlines()


def named(command: str) -> str:
    return command or "rtseg"


EXAMPLES = [example for command in [GROUP, *COMMANDS] for example in examples_of(command)]
every_help = pytest.mark.parametrize("command", [GROUP, *COMMANDS], ids=named)


@every_help
def test_a_help_fits_80_columns(command: str) -> None:
    assert [line for line in help_of(command).splitlines() if len(line) > 80] == []


@every_help
def test_a_help_cuts_no_description_and_breaks_no_name_at_its_hyphen(command: str) -> None:
    after_usage = help_of(command).splitlines()[1:]
    assert [line for line in after_usage if line.endswith("...") or re.search(r"\w-$", line)] == []


@every_help
def test_every_option_is_described(command: str) -> None:
    command_object: click.Command = cli.commands[command] if command else cli
    assert [
        option.name for option in command_object.params if isinstance(option, click.Option) and not option.help
    ] == []


@every_help
def test_a_help_shows_two_or_three_examples_and_ends_with_one_of_its_own(command: str) -> None:
    examples = examples_of(command)
    assert 2 <= len(examples) <= 3
    assert examples[-1].startswith(f"rtseg {command}".rstrip())


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command_that_the_command_line_takes(example: str) -> None:
    program, name, *arguments = shlex.split(example)
    if program == "python":
        compile(arguments[0], "example", "exec")
        return
    assert program == "rtseg"
    context = click.Context(cli, **cli.context_settings)
    cli.commands[name].make_context(name, arguments, parent=context)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_file_in_a_folder_of_the_clone_that_an_example_names_is_there(example: str) -> None:
    paths = [word.rpartition(":")[2] for word in shlex.split(example)]
    shipped = [path for path in paths if path.partition("/")[0] in READ_BY_EXAMPLES and "/" in path]
    assert [path for path in shipped if not (ROOT / path).exists()] == []


@pytest.mark.slow
@every_help
def test_the_examples_of_a_help_run_one_after_the_other(command: str, tmp_path: Path) -> None:
    for package in ("openvino", "tensorrt_rtx", "polygraphy"):
        pytest.importorskip(package)
    for folder in READ_BY_EXAMPLES:
        (tmp_path / folder).symlink_to(ROOT / folder)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RTSEG_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    for example in examples_of(command):
        program, *arguments = shlex.split(example)
        module = ["-m", "rtseg"] if program == "rtseg" else []
        done = subprocess.run(
            [sys.executable, *module, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{example}\n{done.stderr}"


def test_the_help_of_train_states_the_defaults_of_a_recipe() -> None:
    defaults = {entry.name: entry.default for entry in fields(TrainingRecipe)}
    for name in ("batch_size", "crop", "learning_rate", "weight_decay", "optimizer", "seed"):
        option = next(option for option in cli.commands["train"].params if option.name == name)
        assert isinstance(option, click.Option) and option.help is not None
        assert option.help.endswith(f"[default: {defaults[name]}]")
