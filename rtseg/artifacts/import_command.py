"""The `rtseg import-onnx` command for an ONNX file of another exporter, with the options that the file reveals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from rtseg.artifacts.onnx_bytes import SIZED, VARINT, Content, fields_of, mapped

_GRAPH, _PROPERTIES = 7, 14
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_FLOATS = (1, 10, 11)
"""The element types float, float16 and double (onnx.proto)."""

RGB = 3


@dataclass(frozen=True)
class _End:
    """An input or an output as the file states it; a dimension that the file leaves open is 0."""

    name: str
    element: int
    sides: tuple[int, ...]


def import_command(path: str | os.PathLike[str]) -> str:
    """Return the command `rtseg import-onnx PATH ...` for an ONNX file; placeholders stand for what it does not reveal.

    For a file that cannot be read, or is not ONNX, return the command without options. NAME is imagenet or unit, as in
    training; N and HxW are numbers. --no-align-corners suits most networks.
    """
    command = f"rtseg import-onnx {os.fspath(path)}"
    try:
        with mapped(path) as content:
            if b"rtseg.image" in _properties(content):
                return command
            inputs, outputs = _ends(content)
    except (OSError, ValueError, IndexError):
        return command
    if len(inputs) != 1 or not outputs:
        return command
    return " ".join([command, *_options(inputs[0], outputs[0])])


def _options(source: _End, result: _End) -> Iterator[str]:
    last = source.sides[-1:] == (RGB,) and source.sides[1:2] != (RGB,)
    size = source.sides[1:3] if last else source.sides[2:4]
    yield f"--classes {_classes(result, last)}"
    yield "--normalization NAME"
    given = result.sides[1:3] if last else result.sides[2:4]
    if result.element in _FLOATS and len(given) == 2 and all(given) and given != size:
        yield "--no-align-corners"
    if not all(size):
        yield "--resolution HxW"


def _classes(result: _End, last: bool) -> str:
    channels = result.sides[-1 if last else 1] if len(result.sides) == 4 and result.element in _FLOATS else 0
    return {0: "N", 1: "2"}.get(channels, str(channels))


def _properties(content: Content) -> set[bytes]:
    """Return the keys of the file's metadata."""
    return {
        key for begin, end in _inside(content, 0, len(content), _PROPERTIES) for key in _texts(content, begin, end, 1)
    }


def _ends(content: Content) -> tuple[list[_End], list[_End]]:
    """Return the graph's inputs, without its constants, and its outputs."""
    graph = next(_inside(content, 0, len(content), _GRAPH), (0, 0))
    constants = {
        name
        for begin, end in _inside(content, *graph, _INITIALIZER)
        for name in _texts(content, begin, end, _TENSOR_NAME)
    }
    inputs, outputs = (
        [_end(content, begin, end) for begin, end in _inside(content, *graph, number)] for number in (_INPUT, _OUTPUT)
    )
    return [end for end in inputs if end.name.encode() not in constants], outputs


def _end(content: Content, begin: int, end: int) -> _End:
    """Read a ValueInfoProto (name = 1, type = 2, tensor_type = 1, elem_type = 1, shape = 2, dim = 1)."""
    name = b"".join(_texts(content, begin, end, 1)).decode("utf-8", "replace")
    element, sides = 0, []
    for kind in _inside(content, begin, end, 2):
        for tensor in _inside(content, *kind, 1):
            element = next((value for value in _numbers(content, *tensor, 1)), 0)
            for shape in _inside(content, *tensor, 2):
                sides = [next(_numbers(content, *side, 1), 0) for side in _inside(content, *shape, 1)]
    return _End(name, element, tuple(sides))


def _inside(content: Content, begin: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Yield where each message in that field begins and ends."""
    for number, wire, value, after in fields_of(content, begin, end):
        if number == wanted and wire == SIZED:
            yield value, after


def _texts(content: Content, begin: int, end: int, wanted: int) -> Iterator[bytes]:
    return (bytes(content[first:last]) for first, last in _inside(content, begin, end, wanted))


def _numbers(content: Content, begin: int, end: int, wanted: int) -> Iterator[int]:
    return (value for number, wire, value, _ in fields_of(content, begin, end) if number == wanted and wire == VARINT)
