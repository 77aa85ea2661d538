"""The layers of ARCHITECTURE.md, the owners of heavy packages, and what may run on the target."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rtseg"

LAYERS = (
    {"errors"},
    {"specs"},
    {"artifacts", "bilinear", "native_library"},
    {"recipes", "papers", "graphs"},
    {"images", "tail", "cuda", "tensorrt"},
    {"datasets"},
    {"networks"},
    {"runners"},
    {"segmenter"},
    {"accuracy", "prediction"},
    {"export", "training", "calibration"},
    {"quantize"},
    {"lowering", "sensitivity"},
    {"engines"},
    {"benchmarks"},
    {"gpu_check"},
    {"installation"},
    {"report"},
    {"cli"},
)
"""From the bottom up. A module may import its own part and the layers below; "rtseg" itself is the version."""

OWNERS = {
    "torch": ("networks", "training", "export", "runners/torch.py", "gpu_check/torch_task.py", "installation.py"),
    "safetensors": ("networks",),
    "onnx": ("graphs", "export", "calibration", "quantize", "lowering", "sensitivity", "gpu_check/split.py"),
    "onnxruntime": ("runners/onnxruntime.py", "runners/activations.py", "installation.py"),
    "openvino": ("runners/openvino.py", "installation.py"),
    "matplotlib": ("report",),
    "tensorrt": ("tensorrt", "engines", "runners/tensorrt"),
    "tensorrt_rtx": ("tensorrt", "engines"),
    "cuda": ("cuda",),
    "pycuda": ("cuda",),
    "cv2": ("images", "datasets"),
    "PIL": ("images",),
    "rich": ("report", "cli"),
    "click": ("cli",),
}
"""Who may import a heavy package; installation only asks whether it is there."""

ON_THE_TARGET = (
    "rtseg",
    "rtseg.cuda",
    "rtseg.cuda.end_kernels",
    "rtseg.engines.audit",
    "rtseg.runners.tensorrt",
    "rtseg.gpu_check.engine_task",
    "rtseg.gpu_check.run",
    "rtseg.engines.build",
    "rtseg.segmenter",
    "rtseg.specs",
    "rtseg.artifacts",
    "rtseg.tail",
    "rtseg.images.preprocess",
)
NOT_ON_THE_TARGET = ("torch", "onnx", "onnxruntime", "cv2", "PIL", "rich", "click", "safetensors")


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(part: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_part_and_the_layers_below(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] != "rtseg" or len(pieces) == 1 or pieces[1] in ("__version__",):
            continue
        if any(pieces[1] in parts for parts in LAYERS) and pieces[1] != part:
            assert layer_of(pieces[1]) < layer_of(part), f"{path.relative_to(ROOT)} imports {name} from above or beside"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_heavy_package_is_imported_by_its_owners_only(path: Path) -> None:
    inside = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or inside.startswith(owners), f"{inside} imports {name}"


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {part_of(path) for path in sources()} - {"__init__", "__main__"}
    assert parts == set().union(*LAYERS)


def test_the_native_folder_holds_sources_only() -> None:
    assert {path.suffix for path in (PACKAGE / "native").iterdir()} <= {".cpp", ".h", ".cu", ".so", ".pyd", ".dylib"}


def test_importing_the_package_and_its_command_line_loads_nothing_heavy() -> None:
    program = f"import sys, rtseg, rtseg.cli; print(sorted({set(OWNERS)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["click", "rich"]


def test_what_runs_on_the_target_needs_numpy_only() -> None:
    program = (
        "import sys\n"
        f"for name in {NOT_ON_THE_TARGET!r}: sys.modules[name] = None\n"
        f"for name in {ON_THE_TARGET!r}: __import__(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    assert lazy or not tree.body[1:], "annotations such as `int | None` need `from __future__ import annotations`"


def test_no_module_outside_the_networks_is_longer_than_400_lines() -> None:
    long = [str(path) for path in sources() if part_of(path) != "networks" and len(path.read_text().splitlines()) > 400]
    assert long == []
