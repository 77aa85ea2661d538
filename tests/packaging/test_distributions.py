"""A wheel and an sdist: what is in them, and what they do where nothing else is installed. Needs no network."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.environments import Distributions, Environment, ran, succeeded
from tests.test_architecture import WHERE_ENGINES_RUN

RUNTIME_HALF = Path(__file__).resolve().parent / "programs" / "runtime_half.py"
NOT_SHIPPED = {"tests", "gpu_check", "checkpoints", ".ci"}
WORKBENCHES = ("benchmarks/", "calibration/", "engines/", "export/")
SUFFIXES = {".py", ".cpp", ".h", ".cu", ".toml", ".typed"}
FOR_READERS = (
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md"),
    *("constraints.txt", "constraints-gpu-cu12.txt", "constraints-gpu-cu13.txt", "pyproject.toml", "setup.py"),
)


def in_wheel(distributions: Distributions) -> set[str]:
    with zipfile.ZipFile(distributions.wheel) as archive:
        return set(archive.namelist())


def in_sdist(distributions: Distributions) -> set[str]:
    with tarfile.open(distributions.sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def of_the_package(checkout: Path) -> set[str]:
    """Return the sources and data that a checkout has in rtseg/."""
    package = checkout / "rtseg"
    files = {path.relative_to(checkout).as_posix() for path in package.rglob("*") if path.suffix in SUFFIXES}
    assert {PurePosixPath(name).suffix for name in files} >= SUFFIXES - {".typed"}
    return files | {"rtseg/py.typed"}


def test_the_wheel_holds_every_source_and_every_table_of_the_package(distributions: Distributions) -> None:
    assert of_the_package(distributions.checkout) - in_wheel(distributions) == set()


def test_the_wheel_holds_nothing_beside_the_package_and_its_core(distributions: Distributions) -> None:
    surplus = in_wheel(distributions) - of_the_package(distributions.checkout)
    beside = {name for name in surplus if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    assert len(beside) <= 1, beside  # the compiled core, where a compiler is
    assert all(PurePosixPath(name).match("rtseg/native/rtseg_core*") for name in beside), beside


def test_the_sdist_holds_the_package_and_what_readers_want(distributions: Distributions) -> None:
    wanted = of_the_package(distributions.checkout) | set(FOR_READERS)
    assert wanted - in_sdist(distributions) == set()


def test_neither_holds_tests_workbenches_or_checkpoints(distributions: Distributions) -> None:
    names = in_wheel(distributions) | in_sdist(distributions)
    assert [name for name in names if NOT_SHIPPED & set(PurePosixPath(name).parts)] == []
    assert [name for name in names if name.endswith((".safetensors", ".onnx", ".engine", ".pth", ".pyc"))] == []
    outside = {name for name in in_sdist(distributions) if name.startswith(WORKBENCHES)}
    assert outside == set()


def test_the_core_was_built_from_the_sdist(bare: Environment) -> None:
    program = (
        "import pathlib, rtseg\n"
        "found = [p.name for p in (pathlib.Path(rtseg.__file__).parent / 'native').iterdir()]\n"
        "print([name for name in found if name.endswith(('.so', '.pyd', '.dylib'))])"
    )
    assert "rtseg_core" in bare.answer(program)


def test_importing_the_package_needs_nothing_at_all(bare: Environment) -> None:
    assert bare.answer("import sys, rtseg; print(rtseg.__version__, 'numpy' in sys.modules)") == "0.1.0 False"


def test_what_runs_an_engine_labels_a_picture_with_numpy_alone(bare: Environment) -> None:
    modules = [name for name in WHERE_ENGINES_RUN if name.split(".")[0] == "rtseg"]
    said = succeeded(bare.python, RUNTIME_HALF, *modules, cwd=bare.folder)
    assert "others to be had: [], loaded: []" in said


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        ("onnxruntime", "needs the package onnxruntime, which is not installed. Try: run pip install 'rtseg[cpu]'"),
        ("openvino", "needs the package openvino, which is not installed. Try: run pip install 'rtseg[openvino]'"),
    ],
)
def test_what_a_file_lacks_to_run_is_named_with_its_extra(
    bare: Environment, exported: Path, runner: str, message: str
) -> None:
    program = (
        "import rtseg\n"
        "from rtseg.errors import MissingDependencyError\n"
        f"try: rtseg.load({str(exported)!r}, runner={runner!r})\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    assert bare.answer(program).endswith(message)


def test_an_exported_file_runs_with_the_base_and_onnx_runtime(
    base: Environment, exported: Path, picture: Path, tmp_path: Path
) -> None:
    succeeded(base.rtseg, "run", exported, picture, "-o", tmp_path / "out", cwd=base.folder)
    assert {"summary.json", "picture_labels.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("export", "--help")])
def test_the_command_line_helps_where_only_the_base_is(base: Environment, arguments: tuple[str, ...]) -> None:
    said = succeeded(base.rtseg, *arguments, cwd=base.folder)
    assert "Usage: rtseg" in said or "0.1.0" in said


def test_the_doctor_says_what_is_there_and_what_brings_the_rest(base: Environment) -> None:
    said = succeeded(base.rtseg, "doctor", "--json", cwd=base.folder)
    for extra in ("openvino", "rtx", "gpu"):
        assert f"rtseg[{extra}]" in said
    assert "compiled with: CPU" in said or "CPU" in said


def test_the_street_scenes_are_drawn_with_the_base_alone(base: Environment, tmp_path: Path) -> None:
    succeeded(base.rtseg, "scenes", tmp_path / "scenes", "--count", "1", "--resolution", "64x64", cwd=base.folder)
    assert list((tmp_path / "scenes").rglob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        (("networks",), ("export", "train")),
        (("networks", "affnet"), ("export", "train")),
        (("export", "affnet", "--resolution", "64x64", "-o", "x.onnx"), ("export",)),
        (("train", "affnet", "--data", "streets", "--epochs", "1"), ("train",)),
        (("import-checkpoint", "espnet", "x.pth", "--classes", "3"), ("export",)),
        (("bench", "--network", "affnet", "--resolution", "64x64"), ("export",)),
        (("quantize", "x.onnx", "--to", "fp16"), ("cpu", "export")),
        (("calibrate", "x.onnx", "--data", "streets", "-o", "x.json"), ("cpu", "export")),
        (("import-onnx", "x.onnx", "--classes", "3", "--no-align-corners"), ("cpu", "export")),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_command_that_lacks_a_package_names_an_extra_that_brings_it_in_one_line(
    base: Environment, arguments: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    done = ran(base.rtseg, *arguments, cwd=base.folder)
    if done.returncode == 0:
        return  # it needs no more than the base
    assert "Traceback" not in done.stderr
    assert any(f"pip install 'rtseg[{extra}]'" in done.stderr for extra in extras), done.stderr
