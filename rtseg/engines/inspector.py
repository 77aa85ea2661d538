"""Read the layers of an engine from the JSON of TensorRT's engine inspector.

The text is the result of `IEngineInspector.get_engine_information(JSON)` for an engine that was built with
ProfilingVerbosity.DETAILED. rtseg saves it, and so does `trtexec --exportLayerInfo`. Two forms are read:

    TensorRT 8 to 10   "Bindings": ["input", "output"]            a tensor has "Format/Datatype"
    TensorRT 11        "I/O Tensors": [{"Name": "input", ...}]    a tensor has "Format" and "Datatype"

A third form extends that of 11; engines.rtx_compiler writes it for TensorRT for RTX engines. It adds the constants
that a layer reads, the precision that the graph requests for each product, the multiply-accumulates of each product
(missing in older files), and the layers of a separate build for each compute capability.

TensorRT spells a type "FP16" or "Half", "FP32" or "Float", alone or within a format's description; here each type has
one name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtseg.engines.formats import BITS, UNKNOWN, data_type_of, layout_of
from rtseg.errors import EngineError

DETAILED = (
    "build with ProfilingVerbosity.DETAILED (rtseg build does; trtexec: --profilingVerbosity=detailed) and save again"
)
INSPECTOR = "the inspector's text"
MAX_DIMENSIONS, MAX_LENGTH = 16, 1 << 40
RTX_SCHEMA = "rtx"
ASKED, ALONE, MACS = "Asked Precisions", "Alone", "Multiply-Accumulates"
"""Keys of EngineLayers.asked, alone and macs, which TensorRT's own inspector does not write."""


_ONNX_OPERATOR = re.compile(r"(.*?)\](?=(?:__\w+)?[\x1e\x1f\s]*(?:\[|$))", re.DOTALL)
"""Myelin may append what it made of an operator: [ONNX Layer: /a/Conv]__gemm_from_conv1x1."""

_POINTWISE = re.compile(r"PWN\(|\)")
_OTHER_PROFILE = re.compile(r"\[profile [1-9]\d*\]")
_MYELIN_ENDING = re.compile(r"_myl\d+_\d+$")
_UNNAMED = re.compile(r"\(Unnamed Layer\*|^unsqueeze_node_after_|^copied_squeeze_after_")


@dataclass(frozen=True)
class LayerTensor:
    """A tensor between two layers, or at an end of the engine.

    data_type is fp32, fp16, bf16, fp8, fp4, int8, int4, int32, int64, uint8, bool, or "unknown". layout is TensorRT's
    short name of the format, such as LINEAR, HWC8 or CHW32, empty if the inspector gives only a type. shape is empty if
    the inspector gives none.
    """

    name: str
    data_type: str
    layout: str
    shape: tuple[int, ...]

    @property
    def is_scalar(self) -> bool:
        """Whether the tensor holds one value, such as a scale."""
        return bool(self.shape) and all(size == 1 for size in self.shape)

    @property
    def bytes(self) -> int | None:
        """The size of its values without padding, None if type or shape is unknown."""
        if self.data_type not in BITS or not self.shape or min(self.shape) < 0:
            return None
        return -(-math.prod(self.shape) * BITS[self.data_type] // 8)


@dataclass(frozen=True)
class EngineLayer:
    """One layer of an engine, which runs as one step.

    kind is the inspector's LayerType (CaskConvolution, Reformat, kgen, ...) and operation its ParameterType
    (Convolution, Pooling, ...), empty in layers that have none. operators are the names of the ONNX operators it was
    made from, as far as the inspector gives them. weights is the data type of its weights, "unknown" without any.
    constants are the weights, scales and tables that it reads, None if not listed. window is a convolution's kernel
    size, (height, width), and groups its number of groups; () and 1 if not given.
    """

    name: str
    kind: str
    operation: str
    origin: str
    tactic: str
    weights: str
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]
    operators: tuple[str, ...]
    constants: tuple[LayerTensor, ...] | None = None
    window: tuple[int, ...] = ()
    groups: int = 1


@dataclass(frozen=True)
class EngineLayers:
    """All layers of an engine in execution order, with its inputs and outputs. schema is "8-10", "11" or "rtx".

    The other fields are empty except for "rtx". asked maps the name of each ONNX convolution and matrix product to its
    precision in the graph. alone maps a compute capability, such as "8.6", to the layers of a separate build for it: an
    engine for several capabilities has one list, which does not show the kernels of each. capabilities are all that the
    engine was compiled for. macs maps the names in asked to the multiply-accumulates of the operator in the graph; it
    is empty in older files.
    """

    layers: tuple[EngineLayer, ...]
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]
    schema: str
    asked: Mapping[str, str] = field(default_factory=dict)
    alone: Mapping[str, EngineLayers] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    macs: Mapping[str, int] = field(default_factory=dict)


def parse_layers(data: object, source: str = INSPECTOR) -> EngineLayers:
    """Return the layers in the parsed JSON. source names it in messages. Raises EngineError."""
    if isinstance(data, Mapping) and ASKED in data:
        return _of_rtx(data, source)
    layers = tuple(layer for layer in _layers(data, source) if not _OTHER_PROFILE.search(layer.name))
    assert isinstance(data, Mapping)  # without a mapping there would be no layers
    if "I/O Tensors" in data:
        return EngineLayers(layers, *_told_ends(data["I/O Tensors"], source), "11")
    return EngineLayers(layers, *_found_ends(layers, data.get("Bindings", []), source), "8-10")


def _layers(data: object, source: str) -> tuple[EngineLayer, ...]:
    if not isinstance(data, Mapping) or not isinstance(data.get("Layers"), list):
        raise EngineError(
            f"{source} is not what TensorRT's engine inspector writes", expected='an object with a list "Layers"'
        )
    entries = data["Layers"]
    if not entries:
        raise EngineError(f"{source} lists no layer, as with ProfilingVerbosity.NONE", hint=DETAILED)
    if any(isinstance(entry, str) for entry in entries):
        raise EngineError(f"{source} holds names of layers only: their types are not in it", hint=DETAILED)
    layers = tuple(_layer(entry, source) for entry in entries)
    if not any(layer.inputs or layer.outputs for layer in layers):
        raise EngineError(f"{source} lists no tensor of any layer", hint=DETAILED)
    return layers


def _of_rtx(data: Mapping[str, Any], source: str) -> EngineLayers:
    asked, alone, target = data[ASKED], data.get(ALONE), data.get("Runtime")
    if not (isinstance(asked, Mapping) and isinstance(alone, Mapping) and isinstance(target, Mapping)):
        raise EngineError(
            f"{source} is not what rtseg writes for an engine", expected=f'objects "{ASKED}", "{ALONE}" and "Runtime"'
        )
    capabilities = target.get("compute_capabilities")
    if not isinstance(capabilities, list):
        raise EngineError(f"{source} names no compute capability", expected='a list "compute_capabilities"')
    if (len(capabilities) > 1 or target.get("portable") is not False) and list(alone) != capabilities:
        raise EngineError(
            f"{source} lacks the separate layers for each compute capability",
            got=", ".join(map(str, alone)) or "none",
            expected=", ".join(map(str, capabilities)),
            hint="build it again",
        )
    layers, macs = _layers(data, source), _macs(data, source)
    asked = {str(name): str(precision) for name, precision in asked.items()}
    if "I/O Tensors" in data:
        ends = _told_ends(data["I/O Tensors"], source)
    else:
        ends = _found_ends(layers, data.get("Bindings", []), source)
    each = {
        str(capability): EngineLayers(_layers(part, source), *ends, RTX_SCHEMA, asked, {}, (str(capability),), macs)
        for capability, part in alone.items()
    }
    return EngineLayers(layers, *ends, RTX_SCHEMA, asked, each, tuple(map(str, capabilities)), macs)


def _macs(data: Mapping[str, Any], source: str) -> dict[str, int]:
    """Return the multiply-accumulates of the graph's products, empty for a file without them."""
    macs = data.get(MACS, {})
    if not isinstance(macs, Mapping) or not all(type(count) is int and count >= 0 for count in macs.values()):
        raise EngineError(f'{source} has no numbers of multiply-accumulates in "{MACS}"', hint="build it again")
    return {str(name): count for name, count in macs.items()}


def _layer(entry: object, source: str) -> EngineLayer:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("Name"), str):
        raise EngineError(f"{source} has a layer without a name", expected='an object with "Name" and "LayerType"')
    name, kind = entry["Name"], entry.get("LayerType")
    if not isinstance(kind, str):
        raise EngineError(f"{source} gives no type for the layer {name}", expected='a "LayerType"', hint=DETAILED)
    weights = entry.get("Weights", entry.get("ConvWeights"))
    return EngineLayer(
        name,
        kind,
        operation=str(entry.get("ParameterType") or ""),
        origin=str(entry.get("Origin") or ""),
        tactic=str(entry.get("TacticName") or ""),
        weights=data_type_of(str(weights.get("Type"))) if isinstance(weights, Mapping) else UNKNOWN,
        inputs=_tensors(entry, "Inputs", source),
        outputs=_tensors(entry, "Outputs", source),
        operators=_operators(name, kind, str(entry.get("Metadata") or "")),
        constants=_tensors(entry, "Constants", source) if "Constants" in entry else None,
        window=_window(entry),
        groups=groups if type(groups := entry.get("Groups")) is int and groups > 0 else 1,
    )


def _window(entry: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the size of a convolution's window if it is given beside the number of groups, else ()."""
    sizes = entry.get("Kernel")
    if not isinstance(sizes, list) or "Groups" not in entry:
        return ()
    return tuple(sizes) if all(type(size) is int and size > 0 for size in sizes) else ()


def _tensors(entry: Mapping[str, Any], key: str, source: str) -> tuple[LayerTensor, ...]:
    tensors = entry.get(key) or []
    if not isinstance(tensors, list):
        raise EngineError(f'{source} has no list "{key}" in the layer {entry["Name"]}', got=type(tensors).__name__)
    return tuple(_tensor(tensor, source) for tensor in tensors)


def _tensor(entry: object, source: str) -> LayerTensor:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("Name"), str):
        raise EngineError(f"{source} has a tensor without a name")
    both = str(entry.get("Format/Datatype", ""))
    layout = str(entry.get("Format", both))
    data_type = str(entry.get("Datatype") or entry.get("DataType") or both or layout)
    shape = entry.get("Dimensions")
    sizes = shape if isinstance(shape, list) else []
    if len(sizes) > MAX_DIMENSIONS or any(isinstance(size, int) and abs(size) >= MAX_LENGTH for size in sizes):
        raise EngineError(f"{source} has a tensor of an impossible size", got=f"{len(sizes)} dimensions")
    return LayerTensor(
        entry["Name"],
        data_type_of(data_type),
        layout_of(layout),
        tuple(size for size in sizes if isinstance(size, int)),
    )


def _operators(name: str, kind: str, metadata: str) -> tuple[str, ...]:
    """Return the ONNX operators of a layer, by its metadata (8.6 and newer) or by its name."""
    matches = (_ONNX_OPERATOR.match(part) for part in metadata.split("[ONNX Layer: ")[1:])
    if names := [matched[1] for matched in matches if matched is not None]:
        return tuple(dict.fromkeys(names))
    if kind == "NoOp" or name.startswith(("Reformatting CopyNode", "__my")):
        return ()
    if _MYELIN_ENDING.search(name):
        parts = _MYELIN_ENDING.sub("", name).split("+")
    else:
        parts = [part for piece in re.split(r" \+ | \|\| ", name) for part in _POINTWISE.sub("", piece).split(", ")]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip() and not _UNNAMED.search(part.strip())))


def _told_ends(entries: object, source: str) -> tuple[tuple[LayerTensor, ...], tuple[LayerTensor, ...]]:
    if not isinstance(entries, list):
        raise EngineError(f'{source} has no list "I/O Tensors"', got=type(entries).__name__)
    ends: dict[bool, list[LayerTensor]] = {True: [], False: []}
    for entry in entries:
        tensor = _tensor(entry, source)
        profiles = entry.get("ProfileInfo")
        if isinstance(profiles, list) and profiles and isinstance(profiles[0], Mapping):
            layout = layout_of(str(profiles[0].get("Format", "")))
            tensor = LayerTensor(tensor.name, tensor.data_type, layout, tensor.shape)
        ends[str(entry.get("IOMode", "")).lower().endswith("input")].append(tensor)
    return tuple(ends[True]), tuple(ends[False])


def _found_ends(
    layers: tuple[EngineLayer, ...], bindings: object, source: str
) -> tuple[tuple[LayerTensor, ...], tuple[LayerTensor, ...]]:
    """Return the engine's inputs and outputs: a name that a layer writes is an output, any other an input."""
    if not isinstance(bindings, list):
        raise EngineError(f'{source} has no list "Bindings"', got=type(bindings).__name__)
    names = [name for name in bindings if isinstance(name, str) and not _OTHER_PROFILE.search(name)]
    read = {tensor.name: tensor for layer in layers for tensor in layer.inputs}
    written = {tensor.name: tensor for layer in layers for tensor in layer.outputs}
    inputs = tuple(read[name] for name in names if name in read and name not in written)
    return inputs, tuple(written[name] for name in names if name in written)
