"""What the C++ library reads off the bytes of an ONNX file is what Python reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtseg.artifacts.onnx_bytes import external_files, operator_types
from tests.embedding.cpp_library import CppLibrary


@pytest.fixture(scope="module")
def program(cpp_library: CppLibrary) -> Path:
    return cpp_library.test_program("list_onnx_contents")


def listed(program: Path, paths: list[Path]) -> list[tuple[set[str], set[str]]]:
    """Return the types of operators and the other files of each file, as the library says them."""
    ran = subprocess.run([program, *paths], check=True, capture_output=True, text=True, errors="replace")
    lines = [set(line.split("\t")[1:]) for line in ran.stdout.split("\n")[:-1]]
    return list(zip(lines[::2], lines[1::2]))


def require_same(program: Path, paths: list[Path]) -> None:
    for path, found in zip(paths, listed(program, paths)):
        assert found == (operator_types(path), set(external_files(path))), path


def branches(name: str, location: str | None) -> onnx.GraphProto:
    """Return a graph with an If whose branches hold a constant each, the values of one maybe elsewhere."""
    constant = numpy_helper.from_array(np.zeros(3, np.float32), name)
    if location is not None:
        constant.data_location = TensorProto.EXTERNAL
        constant.ClearField("raw_data")
        for key, value in (("location", location), ("offset", "0")):
            entry = constant.external_data.add()
            entry.key, entry.value = key, value
    kept = helper.make_node("Constant", [], ["kept"], value=constant)
    inner = helper.make_graph([kept], "branch", [], [helper.make_tensor_value_info("kept", TensorProto.FLOAT, [3])])
    outer = helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)
    relu = helper.make_node("Relu", ["x"], ["z"])
    given = [helper.make_tensor_value_info(*each) for each in (("condition", TensorProto.BOOL, []), ("x", 1, [3]))]
    return helper.make_graph([outer, relu], "graph", given, [helper.make_tensor_value_info("z", 1, [3])])


def test_operators_are_found_in_branches_too(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(branches("c", None)), path)
    assert listed(program, [path]) == [({"If", "Constant", "Relu"}, set())]


@pytest.mark.parametrize("location", ["weights.bin", "../elsewhere/w", ""])
def test_values_in_other_files_are_found(program: Path, tmp_path: Path, location: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(helper.make_model(branches("c", location)).SerializeToString())
    assert listed(program, [path])[0][1] == {location or "a file without a name"}
    require_same(program, [path])


def test_damaged_bytes_are_read_as_python_reads_them(program: Path, tmp_path: Path, exported: Path) -> None:
    random = np.random.default_rng(0)
    whole = [helper.make_model(branches("c", "weights.bin")).SerializeToString(), exported.read_bytes()[:20_000]]
    paths = []
    for number in range(300):
        content = bytearray(whole[number % 2])
        for place in random.integers(0, min(len(content), 2000), random.integers(0, 6)):
            content[place] = random.integers(0, 256)
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(content[: random.integers(0, len(content) + 1)])
    (tmp_path / "empty.onnx").touch()
    require_same(program, [*paths, tmp_path / "empty.onnx"])
