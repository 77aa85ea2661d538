"""Every name of a CUDA package that the sources use exists in each version that is claimed, with as many parameters."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rtseg.runners.cuda
import tests.runners.cuda.package_names as package_names
from tests.runners.cuda.host_driver import on_the_host_driver

SOURCES = Path(rtseg.runners.cuda.__file__).parent
LISTS = Path(__file__).resolve().parents[2] / "data" / "cuda_bindings"
CUDA_PYTHON = sorted(LISTS.glob("cuda-python-*.json"))
FUNCTION = re.compile(r"(cu|nvrtc)[A-Z]\w+")
PYCUDA_OBJECTS = {
    "stream": "Stream",
    "event": "Event",
    "start": "Event",
    "end": "Event",
    "kernel": "Function",
    "module": "Module",
    "_device": "Device",
    "_context": "Context",
    "context": "Context",
}
"""The class of what the source of the PyCUDA driver calls so."""


def used_functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield each function of cuda-python that a source calls or hands on, with how many arguments it gets.

    CheckedCalls takes one more than the function, what is being done; a star stands for a grid or a block; what is
    handed on frees something.
    """
    tree = ast.parse(source)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not FUNCTION.fullmatch(node.attr):
            continue
        call = called.get(id(node))
        if call is None:
            yield node.attr, 1
            continue
        plain = isinstance(node.value, ast.Name) and node.value.id == "driver"
        given = sum(3 if isinstance(argument, ast.Starred) else 1 for argument in call.args)
        yield node.attr, given if plain else given - 1


def used_constants(source: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and re.fullmatch(r"CU[a-z_]\w+|CU_[A-Z]\w+", node.attr)
    }


def wrong_names(source: str, names: dict[str, Any]) -> list[str]:
    """Return the names of a source that a version of cuda-python lacks, or takes other arguments for."""
    functions, enums = names["functions"], names["enums"]
    known = set(enums).union(*enums.values())
    wrong = [f"{name}({count})" for name, count in used_functions(source) if functions.get(name) != count]
    return wrong + sorted(used_constants(source) - known)


def used_of_pycuda(source: str) -> set[str]:
    """Return what a source uses of PyCUDA, as name of pycuda.driver or as Class.name."""
    used = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Attribute) and owner.attr == "_pycuda":
            used.add(node.attr)
        elif (
            isinstance(owner, ast.Attribute)
            and isinstance(owner.value, ast.Attribute)
            and owner.value.attr == "_pycuda"
        ):
            used.add(f"{owner.attr}.{node.attr}")
        elif isinstance(owner, ast.Attribute) and owner.attr == "native" and isinstance(owner.value, ast.Name):
            used.add(f"{PYCUDA_OBJECTS[owner.value.id]}.{node.attr}")
        elif isinstance(owner, ast.Attribute) and owner.attr in ("_device", "_context"):
            used.add(f"{PYCUDA_OBJECTS[owner.attr]}.{node.attr}")
        elif isinstance(owner, ast.Name) and owner.id == "context":
            used.add(f"Context.{node.attr}")
        elif isinstance(owner, ast.Name) and owner.id == "known":
            used.add(f"event_flags.{node.attr}")
    return used


def sources() -> str:
    return "\n".join((SOURCES / name).read_text() for name in ("bindings_driver.py", "nvrtc.py")).replace(
        "from __future__ import annotations", ""
    )


def test_the_lists_are_of_both_major_versions() -> None:
    assert {path.stem.split("-")[-1].split(".")[0] for path in CUDA_PYTHON} == {"12", "13"}


@pytest.mark.parametrize("path", CUDA_PYTHON, ids=lambda path: path.stem)
def test_every_name_of_cuda_python_is_there_and_takes_what_it_is_given(path: Path) -> None:
    assert len(set(used_functions(sources()))) > 40
    assert wrong_names(sources(), json.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("self._cu.cuGraphInstantiateWithFlags(doing, graph, 0)", "cuGraphInstantiateWithFlags(2)"),
        ("self._cu.cuMemAlloc(doing, size, 0)", "cuMemAlloc(2)"),
        ("self._cu.cuMemAlloc(size)", "cuMemAlloc(0)"),
        ("self._freeing(self._cu.cuMemFreeAsync, native)", "cuMemFreeAsync(1)"),
        ("driver.CUstream_flags.CU_STREAM_NONBLOCKING", "CU_STREAM_NONBLOCKING"),
        ("driver.CUcapture_mode", "CUcapture_mode"),
        ("nvrtc.nvrtcGetSASS(doing, program)", "nvrtcGetSASS(1)"),
    ],
)
def test_a_planted_mistake_is_found(planted: str, found: str) -> None:
    assert wrong_names(planted, json.loads(CUDA_PYTHON[0].read_text())) == [found]


def test_the_list_of_the_installed_cuda_python_is_true(cuda_python: None) -> None:
    from rtseg.runners.cuda.bindings_driver import installed_version

    installed = package_names.cuda_python()
    assert wrong_names(sources(), installed) == []
    path = LISTS / f"cuda-python-{installed_version()}.json"
    if path.exists():
        assert installed == json.loads(path.read_text())


def test_every_name_of_pycuda_is_there() -> None:
    names = json.loads((LISTS / "pycuda-2026.1.json").read_text())
    known = {*names["module"], *(f"{kind}.{name}" for kind, found in names["classes"].items() for name in found)}
    used = used_of_pycuda((SOURCES / "pycuda_driver.py").read_text())
    assert len(used) > 35
    assert used - known == set()


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("self._pycuda.mem_alloc_async(1)", "mem_alloc_async"),
        ("stream.native.begin_capture()", "Stream.begin_capture"),
        ("self._pycuda.Context.set_current()", "Context.set_current"),
    ],
)
def test_a_planted_mistake_in_the_pycuda_driver_is_found(planted: str, found: str) -> None:
    names = json.loads((LISTS / "pycuda-2026.1.json").read_text())
    assert used_of_pycuda(planted) - {*names["module"], *names["classes"]} == {found}


def test_the_list_of_the_installed_pycuda_is_true(pycuda: None) -> None:
    program = "sys.argv = ['', 'pycuda']; runpy.run_path('tests/cuda/package_names.py', run_name='__main__')"
    done = on_the_host_driver(program)
    assert done.returncode == 0, done.stderr
    installed = json.loads(done.stdout)
    used = used_of_pycuda((SOURCES / "pycuda_driver.py").read_text())
    known = {*installed["module"], *(f"{kind}.{n}" for kind, found in installed["classes"].items() for n in found)}
    assert used - known == set()
