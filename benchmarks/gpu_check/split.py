"""A serialised graph cut at its large constants, which other graphs of the same network hold too."""

from __future__ import annotations

from typing import NamedTuple

import onnx

LEAST_BYTES = 4096
"""A smaller constant stays in the skeleton: a file of its own would cost more than it saves."""


class Split(NamedTuple):
    """The bytes that remain, and what stood at which offset of them, in ascending order."""

    skeleton: bytes
    constants: tuple[tuple[int, bytes], ...]


def split_graph(graph: bytes) -> Split:
    """Return the parts of a serialised ONNX model; inserting the constants at their offsets gives it back."""
    rest, constants, start, length = [], [], 0, 0
    for tensor in onnx.load_model_from_string(graph).graph.initializer:
        if len(tensor.raw_data) < LEAST_BYTES:
            continue
        found = graph.find(tensor.raw_data, start)
        if found < 0:
            continue  # protobuf may have written it elsewhere; it then stays in the skeleton
        rest.append(graph[start:found])
        length += found - start
        constants.append((length, tensor.raw_data))
        start = found + len(tensor.raw_data)
    return Split(b"".join([*rest, graph[start:]]), tuple(constants))
