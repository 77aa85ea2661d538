"""Blocks marked run are executed; every other command of rtseg is one that the command line takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rtseg.cli import cli, main
from tests.docs.markdown import GUIDES, PAGES, README, ROOT, blocks, name_of, shell_lines
from tests.test_workbenches import RECIPES, commands_of

EXECUTED = [page for page in GUIDES if any(block.words == "run" for block in blocks(page))]


def rtseg_commands() -> list[str]:
    quoted = re.findall(r"`(rtseg [a-z]+ [^`]*)`", "\n".join(page.read_text() for page in PAGES))
    quoted += [line for path in RECIPES for line in commands_of(path)]
    shown = [line for page in PAGES for line in shell_lines(page) if re.match(r"(\S*/)?rtseg ", line)]
    return sorted({*shown, *(line for line in quoted if ">" not in line and "..." not in line)})


@pytest.mark.parametrize("line", rtseg_commands())
def test_a_command_in_the_documentation_is_one_the_command_line_takes(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    context = click.Context(cli, **cli.context_settings)
    command = cli.get_command(context, words[0])
    assert command is not None
    command.make_context(words[0], words[1:], parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_script_that_a_page_starts_is_there(page: Path) -> None:
    for line in shell_lines(page):
        if found := re.match(r"\S*python3? (\S+\.py)\b", line):
            assert (ROOT / found[1]).is_file(), line


def execute(page: Path) -> None:
    """Write the files that a page shows, and run its marked blocks in their order, in the current folder."""
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if title := re.fullmatch(r'title="([\w.]+)"', block.words):
            Path(title[1]).write_text(block.text)
        elif block.words == "run" and block.language == "python":
            exec(compile(block.text, name_of(page), "exec"), names)
        elif block.words == "run":
            for line in block.text.splitlines():
                words = shlex.split(line, comments=True)
                if words[0] != "rtseg":
                    subprocess.run(line, shell=True, check=True)
                    continue
                with pytest.raises(SystemExit) as ended:
                    main(words[1:])
                assert not ended.value.code, f"{name_of(page)}: {line}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch, about its older exporter
def test_the_marked_blocks_of_the_readme_and_then_of_each_guide_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install '.[rtx]'")
    assert len(EXECUTED) >= 6
    monkeypatch.setenv("RTSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("export", "calibration"):
        Path(folder).symlink_to(ROOT / folder)
    for page in (README, *EXECUTED):
        execute(page)
    sys.modules.pop("mine", None)
    assert {"affnet.engine", "affnet.fp16.onnx", "mine.engine", "theirs.canonical.onnx"} <= {
        path.name for path in tmp_path.iterdir()
    }
