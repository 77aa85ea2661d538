"""Install what pyproject.toml asks for at its floors into a fresh environment, and run tests there.

python benchmarks/floors/try_floors.py FOLDER --extra cpu --extra report --at numpy=1.24.2 -- tests/cli

FOLDER is the environment to make. --at names another version for a package whose floor has no wheel for this Python, or
that must meet another package's. Only wheels are installed. A torch other than the CPU's build brings gigabytes: with
--without torch its packages are left out, and tests that need it fail. Prints the versions, then pytest's own lines.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "packaging", "setuptools", "cuda-bindings")
"""What runs the tests; at any version."""


def requirements(extras: list[str]) -> list[Requirement]:
    """Return what the base and those extras ask for, as far as this Python and machine are meant."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    found = [Requirement(line) for line in lines]
    return [entry for entry in found if entry.marker is None or entry.marker.evaluate({"extra": ""})]


def floor(requirement: Requirement) -> str:
    """Return the oldest version that a requirement allows."""
    return str(min((Version(each.version) for each in requirement.specifier), default=""))


def main() -> int:
    """Make the environment, run the tests, return pytest's exit code."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s FOLDER [options] -- [arguments of pytest]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable, help="the Python to make the environment with")
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--at", action="append", default=[], metavar="NAME=VERSION")
    parser.add_argument("--without", action="append", default=[], metavar="NAME")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    asked, for_pytest = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    versions = {canonicalize_name(entry.name): floor(entry) for entry in requirements(asked.extra)}
    versions.update((canonicalize_name(name), version) for name, _, version in (at.partition("=") for at in asked.at))
    pins = [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in asked.without]
    subprocess.run([asked.python, "-m", "venv", asked.folder], check=True)
    python = str(asked.folder.resolve() / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--only-binary", ":all:", *TOOLS, *pins], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
    print(sys.version.split()[0] if asked.python == sys.executable else asked.python, *pins, flush=True)
    # what an old package warns of is no error here
    command = [python, "-m", "pytest", "-q", "-o", "filterwarnings=default", "-p", "no:cacheprovider", *for_pytest]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
