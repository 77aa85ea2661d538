"""The builder's log of TensorRT for RTX as the inspector's JSON, in the forms of 1.4 and of 1.5 to 1.7."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.inspector import ALONE, ASKED, MACS, parse_layers
from rtseg.engines.rtx_log import inspector_json, is_layer_list
from rtseg.errors import EngineError

ENDS = """
I/O Tensors:
 Name: image, IOMode: Input, DataType: Float, Dimensions: [1,3,8,8], Location: Device, IsShapeInferenceIO: false, \
ProfileInfo: [ { MinShape: [1,3,8,8], OptShape: [1,3,8,8], MaxShape: [1,3,8,8], Format: Row major linear FP32 format \
(kLINEAR) }]
 Name: output, IOMode: Output, DataType: Half, Dimensions: [1,4,4,4], Location: Device, IsShapeInferenceIO: false, \
ProfileInfo: [ { Format: Row major linear FP16 format (kLINEAR) }]

Engine Metadata:
 Multi-Device: Disabled
"""


ONE = {ALONE: {}, "Runtime": {"compute_capabilities": ["8.6"], "portable": False}}
"""What rtseg writes of an engine for one compute capability."""


def tensor(name: str, shape: str = "1,4,4,4", kind: str = "Half", form: str = "(NHWC) Channel major format") -> str:
    order = "Strides: [64,1,16,4], StrideOrder: [3,0,2,1]"
    return f"{{ Name: {name}, Dimensions: [{shape}], {order}, Datatype: {kind}, Format: {form} }}"


def line(name: str = "/a/Conv_myl0_1", kind: str = "correlation", *, constants: str | None = "", **lists: str) -> str:
    told = "" if constants is None else f"Constants: [{constants and ' ' + constants}], "
    inputs, outputs = (lists.get(side, tensor(side)) for side in ("inputs", "outputs"))
    inputs = inputs and f" {inputs}"
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [{inputs}], {told}Outputs: [ {outputs}], TacticName: "
        f"__myelin_CASK_STUB, StreamId: 0, Metadata: {lists.get('metadata', '[ONNX Layer: /a/Conv]')}"
    )


def text(*lines: str) -> str:
    return "Layers:\n" + "\n".join(lines) + "\n" + ENDS


SIGNAL = (
    "Name: entry^bb^signal^1_myl0_0, LayerType: signal, Inputs: [], Constants: [], Outputs: [], TacticName: , "
    "StreamId: 0, EventId: 8, Metadata: "
)


def test_a_layer_is_told_with_its_constants_and_the_operators_behind_it() -> None:
    weights = tensor("w", "4,3,3,3", "Int8")
    (layer,) = inspector_json(text(line(constants=weights, metadata="[ONNX Layer: /a/Conv][ONNX Layer: /a/Relu]")))[
        "Layers"
    ]
    assert layer["Constants"][0]["Dimensions"] == [4, 3, 3, 3]
    read = parse_layers({**inspector_json(text(line(constants=weights))), ASKED: {"/a/Conv": "fp16"}, **ONE})
    assert (read.schema, read.asked) == ("rtx", {"/a/Conv": "fp16"})
    entry = read.layers[0]
    assert entry.constants is not None and [part.data_type for part in entry.constants] == ["int8"]
    assert (entry.inputs[0].data_type, entry.inputs[0].bytes, entry.operators) == ("fp16", 128, ("/a/Conv",))


@pytest.mark.parametrize(
    "target", [{"compute_capabilities": ["8.6", "8.9"], "portable": False}, {"compute_capabilities": ["8.6"]}]
)
def test_an_engine_for_several_needs_the_layers_for_each_alone(target: dict[str, Any]) -> None:
    told = {**inspector_json(text(line())), ASKED: {}, ALONE: {}, "Runtime": target}
    with pytest.raises(EngineError, match="lacks the separate layers for each compute capability; got none"):
        parse_layers(told)


def test_the_products_of_the_graph_go_with_each_separate_build_and_older_files_have_none() -> None:
    target = {"compute_capabilities": ["8.6", "8.9"], "portable": False}
    told = inspector_json(text(line()))
    alone = dict.fromkeys(target["compute_capabilities"], told)  # type: ignore[call-overload]
    written = {**told, ASKED: {"/a/Conv": "fp16"}, ALONE: alone, "Runtime": target}
    read = parse_layers({**written, MACS: {"/a/Conv": 7}})
    assert [part.macs for part in (read, *read.alone.values())] == [{"/a/Conv": 7}] * 3
    assert parse_layers(written).macs == {}


@pytest.mark.parametrize("macs", [[], {"/a/Conv": -1}, {"/a/Conv": 1.5}, {"/a/Conv": True}, {"/a/Conv": "7"}])
def test_products_that_are_no_numbers_are_refused(macs: object) -> None:
    with pytest.raises(EngineError, match='no numbers of multiply-accumulates in "Multiply-Accumulates"'):
        parse_layers({**inspector_json(text(line())), ASKED: {}, MACS: macs, **ONE})


def test_a_layer_that_is_called_like_one_of_another_profile_counts() -> None:
    told = {**inspector_json(text(line("pool [profile 1]"))), ASKED: {}, **ONE}
    assert [layer.name for layer in parse_layers(told).layers] == ["pool [profile 1]"]


def test_what_was_made_of_an_operator_is_no_part_of_its_name() -> None:
    told = inspector_json(text(line(metadata="[ONNX Layer: /a/Conv]__gemm_from_conv1x1[ONNX Layer: /b[0]/Relu]")))
    assert parse_layers({**told, ASKED: {}, **ONE}).layers[0].operators == ("/a/Conv", "/b[0]/Relu")


def test_events_between_streams_are_layers_without_tensors() -> None:
    assert inspector_json(text(SIGNAL))["Layers"][0] == {
        "Name": "entry^bb^signal^1_myl0_0",
        "LayerType": "signal",
        "Inputs": [],
        "Constants": [],
        "Outputs": [],
        "TacticName": "",
        "StreamId": 0,
        "Metadata": "",
    }


def test_the_ends_are_told_with_type_and_format() -> None:
    read = parse_layers({**inspector_json(text(line())), ASKED: {}, **ONE})
    assert [(end.name, end.data_type, end.layout, end.shape) for end in (*read.inputs, *read.outputs)] == [
        ("image", "fp32", "LINEAR", (1, 3, 8, 8)),
        ("output", "fp16", "LINEAR", (1, 4, 4, 4)),
    ]


def test_the_log_of_1_4_has_types_but_no_constants() -> None:
    old = "{ Name: x, Dimensions: [1,4,4,4], Format/Datatype: Half }"
    lines = line(constants=None, inputs=f"{old}, {old}", outputs=old)
    told = inspector_json(f"Layers:\n{lines}\n\nBindings:\nx\nmissing")
    read = parse_layers({**told, ASKED: {}, **ONE})
    (layer,) = read.layers
    assert (told["Bindings"], [end.name for end in read.outputs]) == (["x", "missing"], ["x"])
    assert (layer.constants, [part.data_type for part in layer.inputs]) == (None, ["fp16", "fp16"])


def test_a_scalar_has_no_dimensions() -> None:
    (layer,) = inspector_json(text(line(inputs=tensor("x", ""))))["Layers"]
    assert layer["Inputs"][0]["Dimensions"] == []


names = st.text(st.sampled_from("abz/._-()[]{}, :0"), min_size=1, max_size=20).filter(
    lambda name: not re.search(r", (LayerType|Dimensions): |\], (Constants|Outputs): \[|\{ Name: | \}|\],", name)
)


@given(layer=names, parts=st.lists(names, max_size=4))
def test_any_name_that_can_be_told_from_what_follows_comes_back(layer: str, parts: list[str]) -> None:
    told = inspector_json(text(line(layer, inputs=", ".join(map(tensor, parts)), constants=tensor("w"))))
    assert told["Layers"][0]["Name"] == layer
    assert [part["Name"] for part in told["Layers"][0]["Inputs"]] == parts


@pytest.mark.parametrize(
    "message",
    [
        "Layers:\n",
        text().replace("I/O Tensors:", "Ends:"),
        text(),
        text("something new"),
        text(line() + "\nNext: x"),
        text(line(inputs=tensor("x") + "; " + tensor("y"))),
        text(line(inputs=tensor("x").replace("Datatype", "Type"))),
        text(line()).replace("IOMode", "Mode"),
    ],
)
def test_a_text_of_another_form_is_an_error_that_names_the_place(message: str) -> None:
    with pytest.raises(
        EngineError, match=r"the builder's log cannot be read: .* got .*Try: install one of these releases"
    ):
        inspector_json(message)


def test_other_messages_are_no_list_of_layers() -> None:
    assert is_layer_list(text(line())) and not is_layer_list("After final dead-layer removal: 1 layers")
