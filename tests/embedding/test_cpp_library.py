"""The C++ library as its users meet it: built, installed, found, linked, and refusing files in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedding.cpp_library import CPP, GOLDEN, PLAIN_ENVIRONMENT, CppLibrary, openvino_folder, run

TESTS = (
    "rtseg",
    "golden_ends",
    "golden_models",
    "golden_frames",
    "refusals",
    "threads",
    "allocations",
    "wrapper",
    "hostile_files",
    "hostile_use",
    "broken_backends",
    "loaded_twice",
)
MODEL = "fp32-logits.onnx"


def ctest(library: CppLibrary, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ctest", *options], cwd=library.build, capture_output=True, text=True)


def test_ctest_has_the_tests_that_are_run_here(cpp_library: CppLibrary) -> None:
    listed = json.loads(ctest(cpp_library, "--show-only=json-v1").stdout)
    assert {test["name"].partition("-")[0] for test in listed["tests"]} == set(TESTS)


@pytest.mark.parametrize("name", TESTS)
def test_the_library_passes_its_own(name: str, cpp_library: CppLibrary) -> None:
    done = ctest(cpp_library, "--output-on-failure", "--no-tests=error", "-R", f"^{name}")
    assert done.returncode == 0, done.stdout


def first_line(stderr: str) -> str:
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    return lines[0]


@pytest.mark.skipif(shutil.which("clang++") is None, reason="no clang++")
def test_clang_takes_the_wrapper_too() -> None:
    """GCC alone would let pass what C++ does not allow."""
    strict = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    done = run(["clang++", *strict, f"-I{CPP / 'include'}", CPP / "tests" / "wrapper.cpp"])
    assert done.returncode == 0, done.stderr


# Found and linked


def test_openvino_of_an_active_virtual_environment_is_found_by_itself(cpp_library: CppLibrary, tmp_path: Path) -> None:
    folder = openvino_folder()
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "environment" / "bin" / "python").symlink_to(sys.executable)
    site = tmp_path / "site"
    site.mkdir()
    (site / "openvino").symlink_to(folder)
    done = subprocess.run(
        ["cmake", "-S", CPP, "-B", tmp_path / "build", "-DRTSEG_PROGRAMS=OFF"],
        env={**PLAIN_ENVIRONMENT, "VIRTUAL_ENV": str(tmp_path / "environment"), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"OpenVINO of {site / 'openvino'}" in done.stdout


def test_a_project_finds_the_installed_library_by_cmake(cpp_library: CppLibrary, tmp_path: Path) -> None:
    source = CPP / "tests" / "consumer"
    assert sum(1 for line in (source / "consumer.cpp").read_text().splitlines() if line.strip()) <= 20
    subprocess.run(
        ["cmake", "-S", source, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={cpp_library.prefix}"],
        check=True,
        text=True,
        capture_output=True,
    )
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True)
    done = run([tmp_path / "consumer", GOLDEN / MODEL])
    assert done.returncode == 0, done.stderr
    names = json.loads((GOLDEN / f"{MODEL}.json").read_text())["output"]["classes"]["names"]
    assert done.stdout.strip() in names


def test_the_c_headers_example_is_built_by_pkg_config(cpp_library: CppLibrary, tmp_path: Path) -> None:
    header = (cpp_library.prefix / "include" / "rtseg" / "rtseg.h").read_text()
    example = header.partition(" of one colour:\n *\n")[2].partition(" *\n * Labels. ")[0]
    (tmp_path / "example.c").write_text("\n".join(line[2:].removeprefix("     ") for line in example.splitlines()))
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "rtseg"],
        env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(next(cpp_library.prefix.glob("lib/**/pkgconfig")))},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    libraries = next(cpp_library.prefix.glob("lib/**/librtseg.so")).parent
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "example.c", "-o", "example"]
    subprocess.run(["cc", *strict, *flags, f"-Wl,-rpath,{libraries}"], cwd=tmp_path, check=True)
    done = run([tmp_path / "example", GOLDEN / MODEL])
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 1


def test_pkg_config_names_the_place_that_the_library_was_installed_to(cpp_library: CppLibrary, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    installing = ["cmake", "--install", cpp_library.build, "--prefix", elsewhere]
    subprocess.run(installing, check=True, capture_output=True)
    folder = next(elsewhere.glob("lib/**/pkgconfig"))
    for variable, place in (("prefix", elsewhere), ("libdir", folder.parent), ("includedir", elsewhere / "include")):
        found = subprocess.run(
            ["pkg-config", f"--variable={variable}", "rtseg"],
            env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert os.path.normpath(found.stdout.strip().replace("\\ ", " ")) == str(place)


def test_pkg_config_finds_what_was_installed_elsewhere(cpp_library: CppLibrary, tmp_path: Path) -> None:
    install = ["cmake", "--install", cpp_library.build, "--prefix", tmp_path / "first"]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / "first").rename(tmp_path / "moved")
    folder = next((tmp_path / "moved").glob("lib/**/pkgconfig"))
    printed = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "rtseg"],
        env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    flags = [*printed, f"-Wl,-rpath,{folder.parent}"]
    source = CPP / "tests" / "consumer" / "consumer.cpp"
    subprocess.run(["c++", "-std=c++17", source, *flags, "-o", tmp_path / "consumer"], check=True)
    assert run([tmp_path / "consumer", GOLDEN / MODEL]).returncode == 0


def test_the_library_exports_its_c_functions_and_nothing_else(cpp_library: CppLibrary) -> None:
    library = next(cpp_library.prefix.glob("lib/**/librtseg.so"))
    symbols = subprocess.run(["nm", "-D", "--defined-only", "-C", library], check=True, capture_output=True, text=True)
    names = {line.split(maxsplit=2)[2] for line in symbols.stdout.splitlines()}
    header = (CPP / "include" / "rtseg" / "rtseg.h").read_text()
    ours = {name for name in names if name.startswith("rtseg") and "::" not in name}
    assert ours == {name for name in ours if f" {name}(" in header or f"*{name}(" in header}
    assert "rtseg_session_run" in ours
    assert not any("nlohmann" in name for name in names)


def test_neither_library_nor_program_needs_python(cpp_library: CppLibrary) -> None:
    for file in (cpp_library.program("rtseg-segment"), *cpp_library.prefix.glob("lib/**/*.so")):
        needed = subprocess.run(["ldd", file], check=True, capture_output=True, text=True).stdout
        assert "libpython" not in needed


# Files that are refused


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A model with its manifest, and a picture."""
    for name in (MODEL, f"{MODEL}.json", "labels.onnx.json"):
        shutil.copy(GOLDEN / name, tmp_path)
    (tmp_path / "picture.ppm").write_bytes(b"P6 4 4 255\n" + bytes(48))
    return tmp_path


def refusal(library: CppLibrary, files: Path, *options: str, **variables: str) -> str:
    done = library.run(
        "rtseg-segment", files / MODEL, files / "picture.ppm", "-o", files / "out", *options, **variables
    )
    assert done.returncode == 1
    assert not (files / "out").exists()
    return first_line(done.stderr)


def test_an_altered_byte_stops_a_model_at_its_digest(cpp_library: CppLibrary, files: Path) -> None:
    content = bytearray((files / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (files / MODEL).write_bytes(content)
    assert "does not match its manifest; got sha256 " in refusal(cpp_library, files)


def test_a_model_cut_short_stops_at_its_digest(cpp_library: CppLibrary, files: Path) -> None:
    (files / MODEL).write_bytes((files / MODEL).read_bytes()[:-7])
    assert "does not match its manifest" in refusal(cpp_library, files)


def test_another_models_manifest_is_refused(cpp_library: CppLibrary, files: Path) -> None:
    shutil.copy(files / "labels.onnx.json", files / f"{MODEL}.json")
    assert "does not match its manifest" in refusal(cpp_library, files)


def test_a_model_without_a_manifest_is_refused(cpp_library: CppLibrary, files: Path) -> None:
    (files / f"{MODEL}.json").unlink()
    assert "has no manifest beside it; expected " in refusal(cpp_library, files)


def altered_manifest(files: Path, **changes: object) -> None:
    path = files / f"{MODEL}.json"
    manifest = json.loads(path.read_text())
    for name, value in changes.items():
        part = manifest["image"] if name in manifest["image"] or name in ("version", "fit") else manifest
        part[name] = value
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 3}, "is of a newer version; got 3; expected 2 or less. Try: install a newer rtseg"),
        ({"fit": "stretch"}, "the image contract has an unknown field; got fit"),
        ({"scale": 0.5}, "and its manifest state different contracts; got scale"),
        ({"height": 8}, "height cannot be; got 8; expected 16 to 16384"),
        ({"height": 10**30}, "height cannot be"),
        ({"mean": [0, 0]}, "mean cannot be"),
        ({"std": [1, 1, 0]}, "has a scale, mean or std that float32 cannot use"),
        ({"colour_order": "GBR"}, "colour_order cannot be"),
        ({"kind": "checkpoint"}, "openvino does not run"),
        (
            {"format": "rtseg/3"},
            "the manifest has an unsupported format; got rtseg/3; expected rtseg/2. Try: install a newer rtseg",
        ),
        ({"kind": 5}, "kind cannot be; got 5; expected a text"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_manifest_that_cannot_be_is_refused(
    changes: dict[str, object], words: str, cpp_library: CppLibrary, files: Path
) -> None:
    altered_manifest(files, **changes)
    assert words in refusal(cpp_library, files)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '"\\ud800"', '{"a": 1e999}', "\xff"])
def test_a_manifest_that_is_none_is_refused(text: str, cpp_library: CppLibrary, files: Path) -> None:
    (files / f"{MODEL}.json").write_text(text, encoding="latin-1")
    assert "is not an rtseg manifest" in refusal(cpp_library, files)


def test_a_backend_that_is_not_there_is_named(cpp_library: CppLibrary, files: Path) -> None:
    line = refusal(cpp_library, files, RTSEG_BACKENDS=str(files))
    assert "the backend openvino is not installed; got no librtseg_backend_openvino.so in " in line
    assert "Try: name the folder that has it in the options or in $RTSEG_BACKENDS" in line


def test_a_library_that_a_backend_lacks_is_named(cpp_library: CppLibrary, files: Path) -> None:
    (files / "empty.c").write_text("")
    subprocess.run(["cc", "-shared", "empty.c", "-o", "libmissing_runtime.so"], cwd=files, check=True)
    link = ["-Wl,--no-as-needed", "-L.", "-lmissing_runtime", "-o", "librtseg_backend_openvino.so"]
    subprocess.run(["cc", "-shared", "empty.c", *link], cwd=files, check=True)
    (files / "libmissing_runtime.so").unlink()
    line = refusal(cpp_library, files, RTSEG_BACKENDS=str(files))
    assert "librtseg_backend_openvino.so) cannot be loaded: libmissing_runtime.so: cannot open shared object" in line
    assert "to LD_LIBRARY_PATH" in line


def test_a_module_that_is_no_backend_of_this_build_is_refused(cpp_library: CppLibrary, files: Path) -> None:
    source = "const void* rtseg_backend(int interface_version) { return interface_version == -1 ? &rtseg_backend : 0; }"
    (files / "other.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "other.c", "-o", "librtseg_backend_openvino.so"], cwd=files, check=True)
    assert "is not of this build of rtseg" in refusal(cpp_library, files, RTSEG_BACKENDS=str(files))
