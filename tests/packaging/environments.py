"""Environments that hold a wheel of rtseg and nothing else but what a test names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
UNTRACKED = (".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "*.so", ".*_cache", ".hypothesis")


class Distributions(NamedTuple):
    """What was built, and of which copy of the checkout."""

    checkout: Path
    sdist: Path
    wheel: Path


def ran(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command with none of this environment's packages in its way, and return how it ended."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run([str(part) for part in command], cwd=cwd, env=kept, capture_output=True, text=True)


def succeeded(*command: object, cwd: Path | None = None) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = ran(*command, cwd=cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_the_checkout(folder: Path) -> Path:
    """Copy what git tracks, or what looks as if it did where there is no git; return the copy."""
    listed = ran("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    if listed.returncode != 0:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*UNTRACKED))
        return folder
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file() and not name.startswith("export/checkpoints/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    # one of them suffices to show that no checkpoint is packed; together they are 40 MB
    for one in sorted((ROOT / "export" / "checkpoints").glob("*.safetensors"))[:1]:
        (folder / "export" / "checkpoints").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one, folder / "export" / "checkpoints" / one.name)
    return folder


class Environment:
    """An environment below a folder, without pip."""

    def __init__(self, folder: Path) -> None:
        succeeded(sys.executable, "-m", "venv", "--without-pip", folder)
        scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
        self.folder = folder
        self.python = scripts / "python"
        self.rtseg = scripts / "rtseg"

    def pip(self, *arguments: object) -> str:
        """Let this environment's pip work in that one; return what it printed."""
        return succeeded(sys.executable, "-m", "pip", "--python", self.python, *arguments, cwd=self.folder)

    def install_wheel(self, wheel: Path) -> None:
        """Install a wheel without what it depends on, and without an index."""
        self.pip("install", "--quiet", "--no-index", "--no-deps", "--no-compile", wheel)

    def lend(self, distributions: Iterable[str]) -> None:
        """Show the environment some distributions of this one, with what they depend on, and no others."""
        shown = self.folder / "lent"
        shown.mkdir(exist_ok=True)
        for name in with_dependencies(distributions):
            files = metadata.distribution(name).files or []
            tops = {file.parts[0] for file in files} - {"..", "__pycache__", "bin"}
            for top in tops:
                if not (shown / top).exists():
                    (shown / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))).resolve())
        site = succeeded(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        (Path(site) / "lent.pth").write_text(f"{shown}\n")

    def answer(self, program: str) -> str:
        """Run a program in it that has to succeed; return what it printed."""
        return succeeded(self.python, "-c", program, cwd=self.folder).strip()


def with_dependencies(names: Iterable[str]) -> set[str]:
    """Return the names of installed distributions and of all that they depend on, extras left out."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found
