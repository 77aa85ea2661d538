"""The layers of ARCHITECTURE.md, the owners of heavy packages, and what may run where an engine is deployed."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rtseg"

MOST_ROOMS = 25
MOST_ARROWS = 130

OWNERS = {
    "torch": ("networks", "training", "exporting", "runners/torch.py", "installation/packages.py"),
    "safetensors": ("networks",),
    "onnx": (
        "graphs",
        "exporting",
        "calibration",
        "quantization",
        "engines/lowering",
        "engines/rewriting",
        "installation/probe.py",
    ),
    "onnxruntime": ("runners/onnxruntime.py", "runners/onnxruntime_package.py"),
    "openvino": ("runners/openvino_package.py", "installation"),
    "polygraphy": ("quantization/drift_runs.py",),
    "matplotlib": ("cli/show",),
    "tensorrt": ("engines", "runners/tensorrt"),
    "tensorrt_rtx": ("engines", "runners/tensorrt"),
    "cuda": ("runners/cuda",),
    "pycuda": ("runners/cuda",),
    "cv2": ("images", "datasets"),
    "PIL": ("images",),
    "rich": ("cli",),
    "click": ("cli",),
}
"""Who may import a heavy package; installation asks whether it is there, and writes one small graph."""

WHERE_ENGINES_RUN = (
    "rtseg",
    "rtseg.artifacts.manifest",
    "rtseg.engines.building",
    "rtseg.engines.layer_audit",
    "rtseg.frame.preprocess",
    "rtseg.frame.segmenter",
    "rtseg.frame.tail",
    "rtseg.runners.cuda",
    "rtseg.runners.cuda.end_kernels",
    "rtseg.runners.loading",
    "rtseg.runners.tensorrt.runner",
    "rtseg.specs",
    "benchmarks.gpu_check.engine_task",
    "benchmarks.gpu_check.run",
)
NOT_WHERE_ENGINES_RUN = ("torch", "onnx", "onnxruntime", "cv2", "PIL", "rich", "click", "safetensors")


@functools.cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


def room_of(path: Path) -> str:
    """Return the room of a module: the package or module right below rtseg that it lies in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def rooms() -> frozenset[str]:
    return frozenset({room_of(path) for path in sources()} - {"__init__", "__main__"})


def layers() -> list[set[str]]:
    """Return the rooms of each row of ARCHITECTURE.md's table of layers, from the bottom up."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text[text.index("## Layers") :].split("\n\n")[2]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [set(re.findall(r"`(\w+)`", row)) for row in reversed(rows)]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def arrows() -> frozenset[tuple[str, str]]:
    """Return every pair of rooms of which the first imports the second, the package's own front door included."""
    found = set()
    for path in sources():
        for name in imports(path):
            pieces = name.split(".")
            if pieces[0] == "rtseg" and len(pieces) > 1 and pieces[1] in rooms() - {room_of(path)}:
                found.add((room_of(path), pieces[1]))
    return frozenset(found)


def test_every_room_has_one_layer() -> None:
    listed = [room for layer in layers() for room in layer]
    assert sorted(listed) == sorted(rooms())


def test_a_room_imports_the_layers_below_alone() -> None:
    place = {room: number for number, layer in enumerate(layers()) for room in layer}
    upward = [
        (importer, imported)
        for importer, imported in arrows()
        if not importer.startswith("__") and place[imported] >= place[importer]
    ]
    assert upward == []


def test_no_two_modules_import_each_other() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources()}
    taken = {name: {found for found in imports(path) if found in names} for name, path in names.items()}
    assert [(name, other) for name in taken for other in taken[name] if name < other and name in taken[other]] == []


def test_the_house_stays_small() -> None:
    assert len(rooms()) <= MOST_ROOMS
    assert len(arrows()) <= MOST_ARROWS, len(arrows())


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_heavy_package_is_imported_by_its_owners_only(path: Path) -> None:
    inside = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or inside.startswith(owners), f"{inside} imports {name}"


def test_the_native_folder_holds_sources_only() -> None:
    assert {path.suffix for path in (PACKAGE / "native").iterdir()} <= {".cpp", ".h", ".cu", ".so", ".pyd", ".dylib"}


def test_importing_the_package_and_its_command_line_loads_nothing_heavy() -> None:
    program = f"import sys, rtseg, rtseg.cli; print(sorted({set(OWNERS)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["click", "rich"]


def test_what_runs_where_engines_are_deployed_needs_numpy_only() -> None:
    program = (
        "import sys\n"
        f"for name in {NOT_WHERE_ENGINES_RUN!r}: sys.modules[name] = None\n"
        f"for name in {WHERE_ENGINES_RUN!r}: __import__(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    assert lazy or not tree.body[1:], "annotations such as `int | None` need `from __future__ import annotations`"


def test_no_module_outside_the_networks_is_longer_than_400_lines() -> None:
    long = [str(path) for path in sources() if room_of(path) != "networks" and len(path.read_text().splitlines()) > 400]
    assert long == []


# The tests

NO_ROOMS = ("contracts", "docs", "emulated_gpu", "native", "gpu", "data", "benchmarks", "packaging", "embedding")
"""Folders of tests that are of no room; tests/README.md says what each is for."""

OF_NO_MODULE = {
    "architecture",
    "examples",
    "public_api",
    "workbenches",
    "cli/commands",
    "cli/errors",
    "pipeline/stages",
    "runners/cuda/gpu_lane",
    "runners/cuda/package_names",
    "runners/tensorrt/overlay",
}
"""Tests of what several modules do together."""


def files_of_rooms() -> list[Path]:
    """Return the test files below tests, relative to it, that belong to a room."""
    found = (path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))
    return sorted(path for path in found if path.parts[0] not in NO_ROOMS)


def names_of(path: Path) -> set[str]:
    """Return what a test file may be named after: every beginning of its own name that ends before an underscore."""
    words = path.stem.split("_")[1:]
    return {(path.parent / "_".join(words[: end + 1])).as_posix() for end in range(len(words))}


def test_the_tests_mirror_the_house() -> None:
    modules = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in sources()}
    packages = {path.parent.relative_to(PACKAGE).as_posix() for path in sources()}
    assert [path for path in files_of_rooms() if path.parent.as_posix() not in packages] == []
    assert [path for path in files_of_rooms() if not names_of(path) & (modules | packages | OF_NO_MODULE)] == []
    assert set.union(*map(names_of, files_of_rooms())) >= OF_NO_MODULE, "a name of a test that is no more"
