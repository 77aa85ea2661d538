"""Turn matrix products with a constant into 1x1 convolutions, for a compiler without FP32 matrix products.

TensorRT for RTX compiles FP32 convolutions for Turing, but refuses FP32 MatMul and Gemm. If one side is a constant
matrix, the product is a 1x1 convolution: the shared axis becomes the channels.

    Y (.., M, N) = W (M, K) X (.., K, N)     X as (P, K, N, 1), weights (M, K, 1, 1)
    Y (.., M, N) = X (.., M, K) W (K, N)     X as (P, K, M, 1), weights (N, K, 1, 1); Gemm the same, and an Add
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtseg.errors import QuantizationError
from rtseg.graphs.names import fresh_name, names_in
from rtseg.graphs.view import GraphView, attribute, node_name

PRODUCTS = ("MatMul", "Gemm")
Matrix = NDArray[np.float32]


def without_fp32_products(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return the graph with its FP32 matrix products as convolutions, and their number.

    A graph without any is returned unchanged. Raises QuantizationError for a product of two computed tensors.
    """
    view = GraphView(model)
    products = [
        index
        for index, node in enumerate(model.graph.node)
        if node.op_type in PRODUCTS and view.element_type(node.input[0]) == TensorProto.FLOAT
    ]
    if not products:
        return model, 0
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes, taken = changed.graph.node, names_in(model)
    for index in reversed(products):
        written = _Written(changed, view, nodes[index], taken)
        replacement = written.nodes()
        del nodes[index]
        for offset, node in enumerate(replacement):
            nodes.insert(index + offset, node)
    return changed, len(products)


class _Written:
    """One product as a convolution, between the reshapes of its input and output."""

    def __init__(self, model: onnx.ModelProto, view: GraphView, node: onnx.NodeProto, taken: set[str]) -> None:
        self.model, self.view, self.node = model, view, onnx.NodeProto()
        self.node.CopyFrom(node)
        self.name = node_name(node)
        self.made: list[onnx.NodeProto] = []
        self._taken = taken

    def nodes(self) -> list[onnx.NodeProto]:
        """Return the nodes in order. The convolution keeps the product's name."""
        first, second = self.node.input[:2]
        result = self.view.shape(self.node.output[0])
        if min(len(self.view.shape(first)), len(self.view.shape(second))) < 2:
            raise self._refused("a vector times a matrix")
        if (left := self._matrix(first)) is not None and self.node.op_type == "MatMul":
            *_, inner, columns = self.view.shape(second)
            planes = math.prod(self.view.shape(second)[:-2])
            source = self._reshaped(second, (planes, inner, columns, 1), "in")
            made = self._convolution(source, left)
        elif (right := self._right(second)) is not None:
            *_, rows, inner = self.view.shape(first)
            planes = math.prod(self.view.shape(first)[:-2])
            pixels = self._reshaped(first, (planes, rows, 1, inner), "in")
            source = self._transposed(pixels, (0, 3, 1, 2), "channels_first")
            made = self._convolution(source, right)
            made = self._transposed(made, (0, 2, 3, 1), "channels_last")
        else:
            raise self._refused("two computed tensors")
        added = self._added()
        made = self._reshaped(made, result, "out", "" if added else self.node.output[0])
        if added:
            self.made.append(helper.make_node("Add", [made, added], [self.node.output[0]], self._fresh("add")))
        return self.made

    def _refused(self, got: str) -> QuantizationError:
        return QuantizationError(
            "compute capability 7.5 has no FP32 matrix product",
            got=f"{self.name} of {got}",
            expected="a matrix, or several, times a constant one, which becomes a convolution",
            hint="use --precision fp16, or another --compute-capability",
        )

    def _matrix(self, tensor: str) -> Matrix | None:
        """Return a constant as a matrix, None if it is not one."""
        if not self.view.is_constant(tensor):
            return None
        value = self.view.constant(tensor)
        if value.ndim < 2 or math.prod(value.shape[:-2]) != 1:
            return None
        return np.asarray(value, np.float32).reshape(value.shape[-2:])

    def _right(self, tensor: str) -> Matrix | None:
        """Return the weights (outputs, inner) of a constant on the right."""
        matrix = self._matrix(tensor)
        if matrix is None or self.node.op_type == "MatMul":
            return None if matrix is None else matrix.T
        if attribute(self.node, "transA", 0):
            raise self._refused("a computed matrix that the Gemm transposes")
        weights = matrix if attribute(self.node, "transB", 0) else matrix.T
        return weights * np.float32(attribute(self.node, "alpha", 1.0))

    def _added(self) -> str:
        """Return the name of what a Gemm adds to its product, times beta; empty if it adds nothing."""
        if self.node.op_type != "Gemm" or len(self.node.input) < 3 or not self.node.input[2]:
            return ""
        beta, addend = np.float32(attribute(self.node, "beta", 1.0)), self.node.input[2]
        if beta == 1:
            return str(addend)
        if not self.view.is_constant(addend):
            raise self._refused("a Gemm that adds beta times a computed tensor")
        return self._constant(np.asarray(self.view.constant(addend), np.float32) * beta, "addend")

    def _convolution(self, source: str, weights: Matrix) -> str:
        taps = self._constant(np.ascontiguousarray(weights)[:, :, None, None], "weights")
        made = self._fresh("conv")
        self.made.append(helper.make_node("Conv", [source, taps], [made], self.name, kernel_shape=[1, 1]))
        return made

    def _reshaped(self, tensor: str, shape: tuple[int, ...], suffix: str, result: str = "") -> str:
        made = result or self._fresh(suffix)
        sizes = self._constant(np.array(shape, np.int64), f"{suffix}_shape")
        self.made.append(helper.make_node("Reshape", [tensor, sizes], [made], self._fresh(f"{suffix}_reshape")))
        return made

    def _transposed(self, tensor: str, order: tuple[int, ...], suffix: str) -> str:
        made = self._fresh(suffix)
        self.made.append(helper.make_node("Transpose", [tensor], [made], made, perm=list(order)))
        return made

    def _fresh(self, suffix: str) -> str:
        return fresh_name(f"{self.name}_{suffix}", self._taken)

    def _constant(self, value: NDArray[np.generic], suffix: str) -> str:
        name = self._fresh(suffix)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name
