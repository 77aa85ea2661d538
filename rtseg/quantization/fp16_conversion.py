"""Convert a graph from FP32 to FP16, operator by operator in computing order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.graphs.view import GraphView, attribute, node_name
from rtseg.quantization.fp16_constants import half_scale, int8_values, require_symmetric_int8, steps_along, to_float16
from rtseg.quantization.fp16_rules import QUANTIZERS, float_tensors, takes_half

HALF, FLOAT = int(TensorProto.FLOAT16), int(TensorProto.FLOAT)
_SUFFIXES = {HALF: "fp16", FLOAT: "fp32"}


class Conversion:
    """One walk over the graph in computing order. A tensor is identified by its name in the source and its type."""

    def __init__(self, model: onnx.ModelProto, view: GraphView, opset: int, reasons: Mapping[str, str]) -> None:
        self.model, self.view, self.opset, self.reasons = model, view, opset, reasons
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.types: dict[str, int] = {view.input: view.element_type(view.input)}
        self.names: dict[tuple[str, object], str] = {(view.input, self.types[view.input]): view.input}
        self.taken = {view.input, view.output, *(name for node in view.nodes for name in [*node.input, *node.output])}
        self.taken |= {node.name for node in view.nodes}
        self.wanted = self._wanted_types()
        self.int8: dict[str, NDArray[np.int8]] = {}
        self.precisions: dict[str, str] = {}
        self.casts = 0
        self.subnormal: dict[str, int] = {}
        self.zero: dict[str, int] = {}
        self.scale_change = 0.0
        self.result = self._write()

    def _write(self) -> onnx.ModelProto:
        for node in self.view.nodes:
            if node.op_type in QUANTIZERS:
                require_symmetric_int8(self.view, node)
                self._quantizer(node)
            else:
                self._operator(node)
            if self.view.output in node.output and self.types.get(self.view.output) == HALF:
                self._cast(self.view.output, HALF, FLOAT)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for entries in (model.graph.node, model.graph.initializer, model.graph.value_info):
            del entries[:]
        model.graph.node.extend(self.nodes)
        model.graph.initializer.extend(self.initializers.values())
        return model

    # Types

    def _type_of(self, node: onnx.NodeProto) -> int:
        """Return the type that an operator computes in; quantizers and Casts take the type that their readers need."""
        if node_name(node) in self.reasons:
            return FLOAT
        if node.op_type == "DequantizeLinear" or node.op_type == "Cast":
            wanted = self.wanted.get(node.output[0], set())
            return HALF if HALF in wanted and (node.op_type != "Cast" or FLOAT not in wanted) else FLOAT
        return HALF

    def _wanted_types(self) -> dict[str, set[int]]:
        """Return the types in which the readers of each float32 tensor need it; some accept either."""
        wanted: dict[str, set[int]] = {self.view.output: {FLOAT}}
        for node in self.view.nodes:
            for position in float_tensors(self.view, node.input):
                if (kind := self._input_type(node, position)) is not None:
                    wanted.setdefault(node.input[position], set()).add(kind)
        return wanted

    def _input_type(self, node: onnx.NodeProto, position: int) -> int | None:
        if node.op_type == "Cast" or node.op_type in QUANTIZERS:
            return None
        kept = node_name(node) in self.reasons
        return HALF if not kept and takes_half(node, position, self.opset) else FLOAT

    # Nodes

    def _operator(self, node: onnx.NodeProto) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        kind = self._type_of(node)
        floats = float_tensors(self.view, node.input)
        for position, name in enumerate(node.input):
            if position in floats:
                new.input[position] = self._as(name, self._input_type(node, position))
            elif name and self.view.is_constant(name):
                new.input[position] = self._constant(name)
        results = float_tensors(self.view, node.output)
        for position in results:
            new.output[position] = self._declared(node.output[position], kind)
        if node.op_type == "Cast" and results:
            del new.attribute[:]
            new.attribute.append(helper.make_attribute("to", kind))
        elif node.op_type != "Cast" and (floats or results):
            self.precisions[node_name(node)] = self._precision(node, floats)
        self.nodes.append(new)

    def _precision(self, node: onnx.NodeProto, floats: list[int]) -> str:
        if node_name(node) in self.reasons:
            return "fp32"
        sources = [self.view.producer(node.input[position]) for position in floats if position < 2]
        if sources and all(source is not None and source.op_type == "DequantizeLinear" for source in sources):
            return "int8"
        return "fp16"

    def _quantizer(self, node: onnx.NodeProto) -> None:
        """Write Q in the type of its input and DQ in the type its readers need; Q of a constant becomes int8."""
        source, scale_name = node.input[0], node.input[1]
        of_weights = self.view.is_constant(source) or source in self.int8
        scale, change = half_scale(self.view.constant(scale_name), scale_name, of_weights=of_weights)
        self.scale_change = max(self.scale_change, change)
        axis = attribute(node, "axis", 1)
        if node.op_type == "QuantizeLinear" and of_weights:
            self.int8[node.output[0]] = int8_values(self.view.constant(source), scale, axis)
            return
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if node.op_type == "QuantizeLinear":
            kind = self.types[source]
            new.input[0] = self._as(source, None)
        else:
            kind = self._type_of(node)
            if of_weights:
                new.input[0] = self._int8_weights(node, scale, axis)
            new.output[0] = self._declared(node.output[0], kind)
        new.input[1] = self._scale(scale_name, scale, kind, of_weights)
        if len(node.input) > 2:
            new.input[2] = self._constant(node.input[2])
        self.nodes.append(new)

    def _int8_weights(self, node: onnx.NodeProto, scale: NDArray[Any], axis: int) -> str:
        """Return the name of a constant in int8, quantized with the scale's FP16 value."""
        source, scale_name = node.input[0], node.input[1]
        key = (source, ("int8", scale_name))
        if key not in self.names:
            values = self.int8.get(source)
            if values is None:
                stored = self.view.constant(source).astype(np.float32)
                before = self.view.constant(scale_name).astype(np.float32)
                values = int8_values(stored * steps_along(before, stored.ndim, axis), scale, axis)
            self.names[key] = self._initializer(source, values, "int8")
        return self.names[key]

    # Tensors

    def _declared(self, name: str, kind: int) -> str:
        """Return the name for a computed tensor; the graph's output name is reserved for the Cast to float32."""
        self.types[name] = kind
        own = self._fresh(f"{name}_fp16") if name == self.view.output and kind == HALF else name
        self.names[name, kind] = own
        return own

    def _as(self, name: str, kind: int | None) -> str:
        """Return the name of a float32 tensor of the source in that type; a Cast is added if needed."""
        if self.view.is_constant(name):
            return self._float_constant(name, FLOAT if kind is None else kind)
        have = self.types[name]
        if kind is None or (name, kind) in self.names:
            return self.names[name, have if kind is None else kind]
        return self._cast(name, have, kind)

    def _cast(self, name: str, have: int, kind: int) -> str:
        source, producer = self.names[name, have], self.view.producer(name)
        if producer is not None and producer.op_type == "Cast":
            source = self.nodes[self._index_of(source)].input[0]  # read that Cast's input: never two Casts in a row
        else:
            self.casts += 1
        result = name if name == self.view.output and kind == FLOAT else self._fresh(f"{name}_{_SUFFIXES[kind]}")
        self.nodes.append(
            helper.make_node("Cast", [source], [result], self._fresh(f"{name}_to_{_SUFFIXES[kind]}"), to=kind)
        )
        self.names[name, kind] = result
        return result

    def _index_of(self, tensor: str) -> int:
        return next(index for index, node in enumerate(self.nodes) if tensor in node.output)

    def _float_constant(self, name: str, kind: int) -> str:
        if (name, kind) not in self.names:
            values: NDArray[Any] = self.view.constant(name)
            if kind == HALF:
                rounded = to_float16(values)
                values = rounded.values
                if rounded.subnormal:
                    self.subnormal[name] = rounded.subnormal
                if rounded.zero:
                    self.zero[name] = rounded.zero
            self.names[name, kind] = self._initializer(name, values, _SUFFIXES[kind])
        return self.names[name, kind]

    def _scale(self, name: str, scale: NDArray[Any], kind: int, of_weights: bool) -> str:
        key = (name, (kind, of_weights))
        if key not in self.names:
            values = scale.astype(np.float16) if kind == HALF else scale
            self.names[key] = self._initializer(name, values, f"{_SUFFIXES[kind]}_scale")
        return self.names[key]

    def _constant(self, name: str) -> str:
        key = (name, self.view.element_type(name))
        if key not in self.names:
            self.names[key] = self._initializer(name, self.view.constant(name), "copy")
        return self.names[key]

    def _initializer(self, name: str, values: NDArray[Any], suffix: str) -> str:
        """Write a constant under its own name, or under another if two types are needed."""
        own = self._fresh(f"{name}_{suffix}") if name in self.initializers else name
        self.initializers[own] = numpy_helper.from_array(values, own)
        return own

    def _fresh(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name
