"""Both forms of the inspector's JSON, TensorRT's spellings, and files that are neither."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.engines.formats import data_type_of, layout_of
from rtseg.engines.inspector import parse_layers
from rtseg.engines.layer_times import read_layer_times
from rtseg.engines.layers_file import engine_path, layers_path, read_layers
from rtseg.errors import EngineError

DATA = Path(__file__).resolve().parents[1] / "data" / "inspector"
ENGINES = sorted(path.name for path in DATA.glob("*.json") if "profile" not in path.name and "names" not in path.name)


def one_layer(**entries: Any) -> dict[str, Any]:
    tensor = {"Name": "image", "Dimensions": [1, 3, 8, 8], "Format/Datatype": "Row major linear FP32"}
    return {"Layers": [{"Name": "conv", "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": [], **entries}]}


@pytest.mark.parametrize(
    ("text", "data_type", "layout"),
    [
        ("Row major linear FP32", "fp32", "LINEAR"),
        ("Row major linear FP16 format", "fp16", "LINEAR"),
        ("Row major Int8 format", "int8", "LINEAR"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16", "HWC8"),
        ("Channel major FP32 format", "fp32", "HWC"),
        ("Channel major FP16 format where channel % 8 == 0 with 3 spatial dimensions", "fp16", "DHWC8"),
        ("Four wide channel vectorized row major Int8 format", "int8", "CHW4"),
        ("Two wide channel vectorized row major FP16 format", "fp16", "CHW2"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8", "CHW32"),
        ("Thirty-two wide channel vectorized row major FP16 format with 3 spatial dimensions", "fp16", "CDHW32"),
        ("Row major INT8 format where column stride % 64 == 0", "int8", "DLA_LINEAR"),
        ("Channel major FP16 format where channel == 4 and column stride % 32 == 0", "fp16", "DLA_HWC4"),
        ("Row major linear FP32 format (kLINEAR)", "fp32", "LINEAR"),
        ("Row major linear UInt8 format", "uint8", "LINEAR"),
        ("Channel major BFloat16 format where channel % 8 == 0", "bf16", "HWC8"),
        ("Row major linear BOOL", "bool", "LINEAR"),
        ("Half", "fp16", ""),
        ("Float", "fp32", ""),
        ("kHWC8", "unknown", "HWC8"),
        ("N/A due to dynamic shapes", "unknown", ""),
    ],
)
def test_tensorrts_words_for_a_format_have_one_short_name(text: str, data_type: str, layout: str) -> None:
    assert (data_type_of(text), layout_of(text)) == (data_type, layout)


@given(st.text(max_size=60))
def test_any_text_is_a_format_of_some_kind(text: str) -> None:
    assert isinstance(data_type_of(text), str) and isinstance(layout_of(text), str)


@pytest.mark.parametrize(("name", "schema"), [("fp16-8.5.json", "8-10"), ("fp16-11.json", "11")])
def test_both_forms_tell_of_the_same_ends(name: str, schema: str) -> None:
    engine = read_layers(DATA / name)
    assert engine.schema == schema
    assert [(tensor.name, tensor.shape) for tensor in engine.inputs] == [("image", (1, 3, 96, 128))]
    assert [(tensor.name, tensor.shape) for tensor in engine.outputs] == [("output", (1, 12, 48, 64))]


def test_the_form_of_11_gives_types_and_formats_apart() -> None:
    engine = read_layers(DATA / "fp16-11.json")
    assert {(tensor.data_type, tensor.layout) for layer in engine.layers for tensor in layer.inputs} == {
        ("fp16", "HWC8")
    }


def test_unescaped_control_characters_of_8_6_part_the_operators_of_a_layer() -> None:
    path = DATA / "fp16-asked-fp32-built-8.6.json"
    assert "\x1e" in path.read_text()
    assert read_layers(path).layers[0].operators == (
        "/network/down/down.0/conv/Conv",
        "/network/down/down.0/Relu",
    )


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("w + w_QuantizeLinear + /a/Conv + /a/Relu", ("w", "w_QuantizeLinear", "/a/Conv", "/a/Relu")),
        ("PWN(PWN(/a/Sigmoid), /a/Mul)", ("/a/Sigmoid", "/a/Mul")),
        ("/a/Conv || /b/Conv", ("/a/Conv", "/b/Conv")),
        ("/q/MatMul+/k/MatMul_myl0_9", ("/q/MatMul", "/k/MatMul")),
        ("/a/Conv + (Unnamed Layer* 7) [Shuffle]", ("/a/Conv",)),
        ("Reformatting CopyNode for Input Tensor 0 to /a/Conv", ()),
        ("__myl_AddRelu_myl0_4", ()),
    ],
)
def test_without_metadata_the_name_of_a_layer_tells_its_operators(name: str, operators: tuple[str, ...]) -> None:
    assert parse_layers(one_layer(Name=name)).layers[0].operators == operators


def test_metadata_goes_before_the_name_and_may_hold_brackets() -> None:
    metadata = "[ONNX Layer: /a[0]/Conv]\x1f[ONNX Layer: /a/Relu]"
    assert parse_layers(one_layer(Metadata=metadata)).layers[0].operators == ("/a[0]/Conv", "/a/Relu")


def test_the_layers_of_other_optimisation_profiles_are_left_out() -> None:
    data = one_layer()
    data["Layers"].append({**data["Layers"][0], "Name": "conv [profile 1]"})
    assert [layer.name for layer in parse_layers(data).layers] == ["conv"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"Layers": ["conv + relu"], "Bindings": []}, "names of layers only"),
        ({"Layers": []}, "lists no layer"),
        ({"Layers": [{"Name": "conv", "LayerType": "kgen"}]}, "no tensor"),
        ({"layers": []}, "is not what TensorRT's engine inspector writes"),
        ([], "is not what TensorRT's engine inspector writes"),
        ("conv", "is not what TensorRT's engine inspector writes"),
        ({"Layers": [3]}, "a layer without a name"),
        ({"Layers": [{"Name": "conv"}]}, "gives no type for the layer conv"),
        (one_layer(Inputs=3), 'no list "Inputs"'),
        (one_layer(Inputs=[{"Dimensions": [1]}]), "a tensor without a name"),
        ({**one_layer(), "Bindings": 3}, 'no list "Bindings"'),
        ({**one_layer(), "I/O Tensors": {}}, 'no list "I/O Tensors"'),
    ],
)
def test_what_is_no_detailed_inspector_json_is_refused(data: object, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        parse_layers(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Layers", "Name", "LayerType", "Inputs", "Bindings", "I/O Tensors", "Weights", "Format"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_foreign_json_is_read_or_refused_and_never_a_crash(layers: object, ends: object) -> None:
    for data in (layers, {"Layers": layers, "Bindings": ends}, {"Layers": [layers], "I/O Tensors": ends}):
        with contextlib.suppress(EngineError):
            parse_layers(data)


@pytest.mark.parametrize("name", ENGINES)
def test_a_file_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    text = (DATA / name).read_text()
    for part in (0, 1, len(text) // 3, len(text) - 3):
        path = tmp_path / "cut.json"
        path.write_text(text[:part])
        with pytest.raises(EngineError, match="only a part of it"):
            read_layers(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b"ftrt\xff\xfe\x00")
    with pytest.raises(EngineError, match="is not text"):
        read_layers(path)


def test_an_engine_has_its_layers_beside_it(tmp_path: Path) -> None:
    engine = tmp_path / "affnet.engine"
    assert layers_path(engine) == tmp_path / "affnet.engine.layers.json"
    assert engine_path(layers_path(engine)) == engine
    layers_path(engine).write_bytes((DATA / "fp16-8.5.json").read_bytes())
    assert len(read_layers(engine).layers) == 9


def test_an_engine_of_any_name_is_told_by_the_layers_beside_it(tmp_path: Path) -> None:
    engine = tmp_path / "affnet.bin"
    assert layers_path(engine) == engine and engine_path(engine) is None
    (tmp_path / "affnet.bin.layers.json").write_bytes((DATA / "fp16-8.5.json").read_bytes())
    assert engine_path(engine) == engine
    assert len(read_layers(engine).layers) == 9


def test_an_engine_without_its_layers_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    (tmp_path / "a.engine").touch()
    with pytest.raises(
        EngineError, match=r"trtexec --loadEngine=\S*a\.engine .*--exportLayerInfo=\S*a\.engine\.layers"
    ):
        read_layers(tmp_path / "a.engine")


def test_a_profile_of_trtexec_gives_the_average_of_each_layer() -> None:
    times = read_layer_times(DATA / "fp16-8.5.profile.json", read_layers(DATA / "fp16-8.5.json"))
    assert times.milliseconds[:2] == (0.0312, 0.082)
    assert times.unmatched_ms == 0


def test_layers_that_share_a_name_share_its_time(tmp_path: Path) -> None:
    data = one_layer()
    data["Layers"] *= 2
    path = tmp_path / "times.json"
    path.write_text(json.dumps([{"count": 3}, {"name": "conv", "averageMs": 1}, {"name": "conv", "averageMs": 3}]))
    assert read_layer_times(path, parse_layers(data)).milliseconds == (2, 2)


def test_a_layer_without_a_time_has_none_and_a_little_foreign_time_is_told(tmp_path: Path) -> None:
    data = one_layer()
    data["Layers"].append({**data["Layers"][0], "Name": "relu"})
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"conv": 0.95, "shape_call": 0.05}))
    times = read_layer_times(path, parse_layers(data))
    assert times.milliseconds == (0.95, None)
    assert times.unmatched_ms == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"other": 1.0}, "no profile of this engine"),
        ({"conv": 0.5, "other": 0.5}, "no profile of this engine"),
        ({"conv": 0}, "no profile of this engine"),
        ({"conv": -1}, "no time for the layer conv"),
        ({"conv": "1"}, "no time for the layer conv"),
        ({"conv": float("nan")}, "no time for the layer conv"),
        ([{"name": "conv"}], "no time for the layer conv"),
        ({}, "is not a profile"),
        ([1, 2], "is not a profile"),
        (one_layer(), "is not a profile"),
    ],
)
def test_a_profile_that_is_none_or_another_engines_is_refused(content: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text(json.dumps(content))
    with pytest.raises(EngineError, match=words):
        read_layer_times(path, parse_layers(one_layer()))
