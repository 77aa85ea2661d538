"""The C++ core for Windows, by mingw's cross-compilers and setup.py's own flags. Nothing here was tried on Windows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import setuptools
from setuptools.command.build_ext import build_ext

import rtseg

NATIVE = Path(rtseg.__file__).parent / "native"
SETUP = NATIVE.parents[1] / "setup.py"
HEADER = (NATIVE / "rtseg_core.h").read_text(encoding="utf-8")
FUNCTIONS = set(re.findall(r"^RTSEG_API .*?(rtseg_\w+)\(", HEADER, re.MULTILINE))
SYSTEM = re.compile(r"(kernel32|msvcrt|ucrtbase|api-ms-win-crt-[\w-]+)\.dll", re.IGNORECASE)
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
PREFIX = "x86_64-w64-mingw32"
DIGEST = Path(__file__).with_name("core_digest.c")


class Dll(NamedTuple):
    """The core as a DLL, and the flavour of mingw's threads that it was compiled with."""

    path: Path
    flavour: str

    def compiler(self, name: str) -> str:
        return f"{PREFIX}-{name}-{self.flavour}"

    def says(self) -> str:
        """Return what its headers say, in objdump's words."""
        return printed(f"{PREFIX}-objdump", "-p", self.path)


def printed(*command: object, **settings: Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=["posix", "win32"])
def dll(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dll:
    """The core, built by setup.py as with a mingw on Windows, every warning an error."""
    flavour = request.param
    if missing := [name for name in ("gcc", "g++") if shutil.which(f"{PREFIX}-{name}-{flavour}") is None]:
        pytest.skip(f"no {PREFIX}-{missing[0]}-{flavour}: Debian has it in g++-mingw-w64-x86-64")
    folder = tmp_path_factory.mktemp(flavour)
    shutil.copy(SETUP, folder)
    sources = shutil.ignore_patterns("*.so", "*.pyd", "*.dylib")
    shutil.copytree(NATIVE, folder / "rtseg" / "native", ignore=sources)
    made = Dll(folder / "rtseg_core.dll", flavour)
    compilers = {name: " ".join((made.compiler(command), *STRICT)) for name, command in (("CC", "gcc"), ("CXX", "g++"))}
    command = (sys.executable, "setup.py", "build_ext", "--compiler=mingw32", "--build-lib=built")
    done = subprocess.run(command, cwd=folder, env={**os.environ, **compilers}, capture_output=True, text=True)
    built = list(folder.glob("built/rtseg/native/rtseg_core*"))
    assert len(built) == 1, done.stdout + done.stderr
    shutil.copy(built[0], made.path)
    return made


@pytest.fixture
def example(dll: Dll, tmp_path: Path) -> Path:
    """The program in the header, compiled as C and linked with the DLL."""
    text = HEADER.partition(" * A complete program:\n")[2].partition(" * It prints ")[0]
    source, program = tmp_path / "example.c", tmp_path / "example.exe"
    source.write_text("\n".join(line[2:].removeprefix("     ") for line in text.splitlines()), encoding="utf-8")
    printed(dll.compiler("gcc"), "-std=c99", *STRICT, f"-I{NATIVE}", source, dll.path, "-o", program)
    return program


@pytest.mark.slow
def test_the_dll_exports_the_functions_of_the_header_and_nothing_else(dll: Dll) -> None:
    table = dll.says().partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    exported = {line.split()[-1] for line in table.splitlines() if line.lstrip().startswith("[")}
    assert exported == FUNCTIONS


@pytest.mark.slow
def test_the_dll_needs_no_library_that_windows_lacks(dll: Dll) -> None:
    needed = re.findall(r"DLL Name: (\S+)", dll.says())
    assert needed and [name for name in needed if not SYSTEM.fullmatch(name)] == []


@pytest.mark.slow
def test_a_program_in_c_links_with_the_dll_and_takes_its_functions_from_it(dll: Dll, example: Path) -> None:
    said = printed(f"{PREFIX}-objdump", "-p", example)
    assert set(re.findall(r"\b(rtseg_\w+)$", said, re.MULTILINE)) <= FUNCTIONS
    assert "rtseg_labels_from_logits" in said and "rtseg_tensor_from_image" in said


@pytest.mark.slow
def test_a_program_may_take_in_the_sources_without_a_dll(dll: Dll, tmp_path: Path) -> None:
    (tmp_path / "main.cpp").write_text(
        '#include "rtseg_core.h"\nint main() { return rtseg_core_abi_version() - RTSEG_CORE_ABI_VERSION; }\n',
        encoding="utf-8",
    )
    sources = sorted(NATIVE.glob("*.cpp"))
    command = [dll.compiler("g++"), "-std=c++17", "-O1", *STRICT, "-pthread", "-static", f"-I{NATIVE}"]
    printed(*command, tmp_path / "main.cpp", *sources, "-o", tmp_path / "main.exe")
    said = printed(f"{PREFIX}-objdump", "-p", tmp_path / "main.exe")
    assert [name for name in re.findall(r"DLL Name: (\S+)", said) if not SYSTEM.fullmatch(name)] == []


# Under Wine, which is no Windows, but loads the DLL as Windows does


class Wine:
    """A Wine whose files lie below a folder."""

    def __init__(self, loader: str, folder: Path) -> None:
        self._loader = loader
        quiet = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
        self._variables = {**os.environ, **quiet, "WINEPREFIX": str(folder)}

    def prints(self, program: Path) -> str:
        return printed(self._loader, program, env=self._variables, cwd=program.parent)

    def end(self) -> None:
        """End what waits for another program."""
        server = Path(self._loader).resolve().with_name("wineserver")
        subprocess.run([shutil.which("wineserver") or str(server), "-k"], env=self._variables, capture_output=True)


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    """Wine for 64 bits; its files, 700 MB, go when the tests end."""
    found = (shutil.which("wine64"), shutil.which("wine"), shutil.which("/usr/lib/wine/wine64"))
    loader = next(filter(None, found), None)
    if loader is None:
        pytest.skip("no wine64")
    folder = tmp_path_factory.mktemp("wine")
    wine = Wine(loader, folder)
    yield wine
    wine.end()
    shutil.rmtree(folder, ignore_errors=True)


def beside(dll: Dll, program: Path) -> Path:
    """Put the DLL where the program looks for it, under the name that it has for itself."""
    name = re.findall(r"DLL Name: (rtseg_core\S*)", printed(f"{PREFIX}-objdump", "-p", program))
    shutil.copy(dll.path, program.with_name(name[0]))
    return program


@pytest.mark.slow
def test_under_wine_the_headers_example_prints_what_it_says(dll: Dll, example: Path, wine: Wine) -> None:
    promised = HEADER.partition(' * It prints "')[2].partition('"')[0]
    assert wine.prints(beside(dll, example)).split() == promised.split()


@pytest.mark.slow
def test_under_wine_the_dll_gives_the_bits_of_the_library_of_this_machine(dll: Dll, wine: Wine, tmp_path: Path) -> None:
    library, cc = next(NATIVE.glob("rtseg_core*.so"), None), shutil.which("cc")
    if library is None or cc is None:
        pytest.skip("no core of this machine, or no C compiler (cc)")
    command = ["-std=c99", "-O1", *STRICT, f"-I{NATIVE}", DIGEST]
    printed(cc, *command, library, "-o", tmp_path / "digest")
    printed(dll.compiler("gcc"), *command, dll.path, "-o", tmp_path / "digest.exe")
    here = printed(tmp_path / "digest").split("\n")
    assert wine.prints(beside(dll, tmp_path / "digest.exe")).split("\n") == here
    assert len(here) == 3 * 17 + 2 and here[:17] == here[17:34] == here[34:51]


# The flags, for every compiler


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What setup.py gives a compiler of that kind: what to compile with, and what to link with."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.setattr(build_ext, "build_extensions", lambda self: None)
    exec(compile(SETUP.read_text(encoding="utf-8"), "setup.py", "exec"), {})

    def of(kind: str) -> tuple[list[str], list[str]]:
        command = given["cmdclass"]["build_ext"](setuptools.Distribution())
        command.compiler, command.extensions = SimpleNamespace(compiler_type=kind), given["ext_modules"]
        command.build_extensions()
        (extension,) = given["ext_modules"]
        return extension.extra_compile_args, extension.extra_link_args

    return of


def test_microsofts_compiler_gets_options_of_its_own_spelling_alone(flags: Any) -> None:
    to_compile, to_link = flags("msvc")
    assert to_compile and [option for option in to_compile + to_link if not option.startswith("/")] == []


@pytest.mark.parametrize("kind", ["unix", "mingw32"])
def test_every_gcc_is_told_to_fuse_no_products(flags: Any, kind: str) -> None:
    to_compile, to_link = flags(kind)
    assert "-ffp-contract=off" in to_compile
    assert ("-static" in to_link) == (kind == "mingw32")
