"""Weights in other files, found in the bytes of an ONNX file, wherever in it a tensor may stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rtseg.artifacts.manifest import read_manifest, write_manifest
from rtseg.artifacts.onnx_bytes import external_files, external_files_of
from rtseg.errors import ManifestError
from tests.artifacts.test_manifest import MANIFEST


def weights(name: str = "w", location: str = "") -> onnx.TensorProto:
    """Return a tensor whose values lie in that file, or in itself."""
    tensor = numpy_helper.from_array(np.arange(4, dtype=np.float32), name)
    if location:
        del tensor.external_data[:]
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)
    return tensor


def graph_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> onnx.GraphProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    return helper.make_graph(nodes, "graph", [value], [helper.make_tensor_value_info("y", 1, [4])], initializers)


def as_initializer(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return helper.make_model(graph_of([helper.make_node("Add", ["x", "w"], ["y"])], [tensor]))


def as_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])]
    return helper.make_model(graph_of(nodes, []))


def in_a_branch(tensor: onnx.TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "b", [], [], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return helper.make_model(graph_of([node], []))


def in_a_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])]
    function = helper.make_function("own", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", 17)])
    return helper.make_model(graph_of([helper.make_node("F", ["x"], ["y"], domain="own")], []), functions=[function])


def as_sparse(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = helper.make_model(graph_of([helper.make_node("Add", ["x", "w"], ["y"])], []))
    model.graph.sparse_initializer.add(values=tensor, dims=[4])
    return model


PLACES = (as_initializer, as_constant, in_a_branch, in_a_function, as_sparse)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_tensor_in_another_file_is_found_wherever_it_stands(
    place: Callable[[onnx.TensorProto], onnx.ModelProto],
) -> None:
    assert external_files_of(place(weights(location="w.bin")).SerializeToString()) == ["w.bin"]
    assert external_files_of(place(weights()).SerializeToString()) == []


def test_a_tensor_that_names_no_file_is_found_too() -> None:
    tensor = weights(location="w.bin")
    del tensor.external_data[:]
    assert external_files_of(as_initializer(tensor).SerializeToString()) == ["a file without a name"]


@given(st.lists(st.sampled_from(["", "a.bin", "b.bin"]), max_size=8))
def test_each_file_is_named_once(locations: list[str]) -> None:
    tensors = [weights(f"w{index}", location) for index, location in enumerate(locations)]
    model = helper.make_model(graph_of([], tensors))
    assert sorted(external_files_of(model.SerializeToString())) == sorted(set(locations) - {""})


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_bytes_of_any_kind_end_the_search(noise: bytes, cut: int, byte: int) -> None:
    external_files_of(noise)
    whole = as_initializer(weights(location="w.bin")).SerializeToString()
    position = cut % len(whole)
    external_files_of(whole[:position])
    external_files_of(whole[:position] + bytes([byte]) + whole[position + 1 :])


def test_a_group_which_onnx_has_none_of_hides_nothing() -> None:
    whole = as_initializer(weights(location="w.bin")).SerializeToString()
    group = bytes([(100 << 3 | 3) & 0x7F | 0x80, (100 << 3) >> 7, (100 << 3 | 4) & 0x7F | 0x80, (100 << 3) >> 7])
    assert onnx.ModelProto.FromString(group + whole).graph.initializer[0].external_data[0].value == "w.bin"
    assert external_files_of(group + whole) == ["w.bin"]


def test_a_location_of_more_bits_than_it_needs_is_read_as_protobuf_reads_it() -> None:
    tensor = weights(location="w.bin").SerializeToString().replace(b"\x70\x01", b"\x70\x81\x80\x80\x80\x10")
    assert onnx.TensorProto.FromString(tensor).data_location == TensorProto.EXTERNAL
    model = as_initializer(weights())
    content = model.SerializeToString()
    sized = bytes([5 << 3 | 2, len(tensor)]) + tensor
    graph = bytes([7 << 3 | 2, len(sized)]) + sized  # a second graph, which protobuf adds to the first
    assert external_files_of(content + graph) == ["w.bin"]


def test_a_file_with_weights_beside_it_is_refused_with_its_manifest_and_the_way_on(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(as_initializer(weights(location="x.bin")).SerializeToString())
    write_manifest(path, MANIFEST)
    assert external_files(path) == ["x.bin"]
    with pytest.raises(ManifestError, match=r"does not cover; got x\.bin; .* Try: run rtseg import-onnx .*x\.onnx"):
        read_manifest(path, kind="onnx")


def test_an_empty_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"")
    assert external_files(tmp_path / "x.onnx") == []
