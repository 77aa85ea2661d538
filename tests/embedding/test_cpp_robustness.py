"""The C++ library under sanitizers, fuzzers, other compilers. engines/cpp/tests/README.md says what each step shows."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.embedding.cpp_library import CPP, GOLDEN, configure, make, openvino_folder, run

pytestmark = pytest.mark.slow

WITH_CLANG = ("-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++")


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")


def robust(folder: Path, step: str, *options: str) -> str:
    needs("cmake")
    done = subprocess.run(
        [CPP / "tests" / "robustness.sh", *options, folder, step],
        env={**os.environ, "CMAKE_PREFIX_PATH": str(openvino_folder())},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert done.stdout.endswith("nothing found\n")
    return done.stdout


@pytest.mark.parametrize("step", ["address", "thread"])
def test_the_librarys_tests_pass_under_sanitizers(step: str, tmp_path: Path) -> None:
    output = robust(tmp_path, step)
    for name in ("golden_ends", "golden_models-openvino", "threads-openvino", "hostile_use-openvino"):
        assert f"{name} ." in output


def test_valgrind_finds_nothing(tmp_path: Path) -> None:
    needs("valgrind")
    robust(tmp_path, "valgrind")


def test_memory_is_flat_over_many_frames(tmp_path: Path) -> None:
    robust(tmp_path, "memory", "-n", "20000")


def test_fuzzers_find_nothing(tmp_path: Path) -> None:
    needs("clang++")
    output = robust(tmp_path, "fuzz", "-t", "20")
    assert output.count("number_of_executed_units") == 4


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([CPP / "tests" / "robustness.sh", tmp_path, "luck"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("unknown step; got luck; expected valgrind, ")


def test_clang_builds_everything_without_a_warning(tmp_path: Path) -> None:
    needs("clang++")
    configure(tmp_path, "-DRTSEG_TESTS=ON", "-DCMAKE_BUILD_TYPE=None", *WITH_CLANG)
    make(tmp_path)
    done = run([tmp_path / "bin" / "refusals", GOLDEN, "openvino"])
    assert done.returncode == 0, done.stderr


def test_a_project_links_the_static_library(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    configure(
        tmp_path / "build",
        "-DBUILD_SHARED_LIBS=OFF",
        "-DRTSEG_PROGRAMS=OFF",
        "-DCMAKE_BUILD_TYPE=None",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
    )
    make(tmp_path / "build", "install")
    assert not list(prefix.glob("lib/**/librtseg.so"))
    consumer = tmp_path / "consumer"
    for command in (
        ["cmake", "-S", CPP / "tests" / "consumer", "-B", consumer, f"-DCMAKE_PREFIX_PATH={prefix}"],
        ["cmake", "--build", consumer],
    ):
        subprocess.run(command, check=True, capture_output=True)
    done = run([consumer / "consumer", GOLDEN / "fp32-logits.onnx"])
    assert done.returncode == 0, done.stderr


def test_the_library_without_backends_says_what_is_missing(tmp_path: Path) -> None:
    options = ("-DRTSEG_OPENVINO=OFF", "-DRTSEG_PROGRAMS=OFF", "-DCMAKE_BUILD_TYPE=None")
    configure(tmp_path / "build", *options, f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'prefix'}")
    make(tmp_path / "build", "install")
    consumer = tmp_path / "consumer"
    for command in (
        ["cmake", "-S", CPP / "tests" / "consumer", "-B", consumer, f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}"],
        ["cmake", "--build", consumer],
    ):
        subprocess.run(command, check=True, capture_output=True)
    done = run([consumer / "consumer", GOLDEN / "fp32-logits.onnx"])
    assert done.returncode == 1
    assert "the backend openvino is not installed; got no librtseg_backend_openvino.so in " in done.stderr
    assert "configure rtseg with -DRTSEG_OPENVINO=ON" in done.stderr
