"""What `import rtseg` offers: the stages as functions, and the types that they take and give."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import rtseg
from tests.toml_files import read_toml

ROOT = Path(__file__).resolve().parents[1]

STAGES = (
    *("audit", "bench", "build", "calibrate", "drift", "export", "import_checkpoint", "import_onnx", "load"),
    *("quantize", "run", "scenes", "sensitivity", "train", "validate"),
)
TYPES = (
    *("Artifact", "ClassSpec", "ImageSpec", "Normalization", "Observer", "OutputSpec", "Resolution", "RtsegError"),
    *("Segmenter", "TrainingRecipe"),
)
HEAVY = (
    *("numpy", "torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "cuda", "cv2", "PIL"),
    *("click", "rich", "safetensors", "matplotlib", "polygraphy"),
)


def modules() -> list[str]:
    return [found.name for found in pkgutil.walk_packages(rtseg.__path__, "rtseg.") if found.name != "rtseg.__main__"]


def test_the_public_names_are_sorted_and_pinned() -> None:
    assert rtseg.__all__ == [*TYPES, *STAGES]
    assert sorted(rtseg.__all__) == rtseg.__all__


@pytest.mark.parametrize("name", rtseg.__all__)
def test_a_public_name_can_be_looked_up_and_is_documented(name: str) -> None:
    found = getattr(rtseg, name)
    assert found.__name__ == name and found.__doc__


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_typed_to_the_last_argument(name: str) -> None:
    signature = inspect.signature(getattr(rtseg, name))
    assert signature.return_annotation is not signature.empty
    assert all(entry.annotation is not entry.empty for entry in signature.parameters.values())


def test_every_module_is_imported_and_every_stage_is_still_a_function() -> None:
    for name in modules():
        importlib.import_module(name)
    assert [name for name in STAGES if not inspect.isfunction(getattr(rtseg, name))] == []


def test_no_module_bears_the_name_of_a_stage() -> None:
    assert [name for name in modules() if name.rpartition(".")[2] in STAGES] == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, rtseg; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_naming_a_stage_loads_none_of_its_frameworks() -> None:
    frameworks = set(HEAVY) - {"numpy"}
    program = (
        f"import sys, rtseg; [getattr(rtseg, n) for n in rtseg.__all__]; print(*{frameworks!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmenter_of'"):
        _ = rtseg.segmenter_of


def test_the_package_is_typed() -> None:
    assert (ROOT / "rtseg" / "py.typed").is_file()


def test_the_wheel_takes_the_library_and_nothing_else_from_the_top_level() -> None:
    settings = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]
    assert settings["packages"]["find"]["include"] == ["rtseg*"]
    carried = {
        f"native/*{path.suffix}" for path in (ROOT / "rtseg" / "native").iterdir() if path.suffix in (".cpp", ".h")
    }
    assert carried <= set(settings["package-data"]["rtseg"])
