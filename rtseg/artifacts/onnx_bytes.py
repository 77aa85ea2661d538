"""Facts about an ONNX file, read from its bytes without the package onnx: its operators, and weights in other files.

An ONNX file is a protobuf message: fields, each with a number and one of a few wire types. Only the fields that lead to
tensors are entered; weights in the file itself are skipped, so large files take no longer.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Union

from rtseg.artifacts.files import require_regular_file

Content = Union[bytes, mmap.mmap]

Field = tuple[int, int, int, int]
"""Number, wire type, value, and where the field ends."""

VARINT, _EIGHT, SIZED, _START, _END, _FOUR = range(6)

_TENSOR, _NODE = "tensor", "node"
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: _NODE, 5: _TENSOR, 15: "sparse"},
    "function": {7: _NODE, 11: "attribute"},
    _NODE: {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""For each message, the message in each numbered field on the way to tensors (onnx.proto)."""

_OPERATOR_TYPE, _EXTERNAL_DATA = 4, 13
_LOCATION, _EXTERNAL = 14, 1
"""The field of a tensor that says where its values are, and the value that means: in another file."""

_KEY, _VALUE = 1, 2
_DEEPEST = 200
"""Messages nested in one another: more than any reader of protobuf accepts."""


def external_files(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the other files that an ONNX file takes values from, as it spells them.

    The list is empty if the file holds all its values itself.

    In a file that is not ONNX the search ends where the bytes make no sense; later readers refuse it. Raises OSError.
    """
    with mapped(path) as content:
        return external_files_of(content)


def external_files_of(content: Content) -> list[str]:
    """Return what external_files returns, for the bytes of a file."""
    found: dict[str, None] = {}
    for message, fields in _messages(content):
        if message != _TENSOR:
            continue
        external, location = False, ""
        for number, wire, value, after in fields:
            if number == _LOCATION and wire == VARINT:
                external = external or value & 0xFFFFFFFF == _EXTERNAL
            elif number == _EXTERNAL_DATA and wire == SIZED:
                location = _location(content, value, after) or location
        if external:
            found[location or "a file without a name"] = None
    return list(found)


def operator_types(path: str | os.PathLike[str]) -> frozenset[str]:
    """Return the types of operators in an ONNX file, such as "Conv", of every domain. Raises OSError."""
    with mapped(path) as content:
        return frozenset(
            bytes(content[value:after]).decode("utf-8", "replace")
            for message, fields in _messages(content)
            if message == _NODE
            for number, wire, value, after in fields
            if number == _OPERATOR_TYPE and wire == SIZED
        )


@contextlib.contextmanager
def mapped(path: str | os.PathLike[str]) -> Iterator[Content]:
    """Yield the bytes of a file; only those that are used are read from disk. Raises OSError."""
    if not require_regular_file(path):
        yield b""
        return
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _messages(content: Content) -> Iterator[tuple[str, list[Field]]]:
    """Yield every message that _INSIDE leads to, with its fields."""
    waiting = [("model", 0, len(content), 0)]
    while waiting:
        message, begin, end, depth = waiting.pop()
        fields = list(fields_of(content, begin, end))
        yield message, fields
        for number, wire, value, after in fields:
            inside = _INSIDE[message].get(number)
            if inside is not None and wire == SIZED and depth < _DEEPEST:
                waiting.append((inside, value, after, depth + 1))


def _location(content: Content, begin: int, end: int) -> str:
    """Return the value of an entry whose key is "location"."""
    texts = {
        number: bytes(content[value:after]).decode("utf-8", "replace")
        for number, wire, value, after in fields_of(content, begin, end)
        if wire == SIZED
    }
    return texts.get(_VALUE, "") if texts.get(_KEY) == "location" else ""


def fields_of(content: Content, begin: int, end: int) -> Iterator[Field]:
    """Yield number, wire type and value of each field of a message, and where the field ends.

    The value of a sized field is where its bytes begin. Groups, which ONNX does not use, are skipped.
    """
    position, groups = begin, 0
    while position < end:
        tag, position = _varint(content, position, end)
        number, wire = tag >> 3, tag & 7
        value = position
        if wire == VARINT:
            value, position = _varint(content, position, end)
        elif wire == SIZED:
            size, value = _varint(content, position, end)
            position = value + size
        elif wire in (_EIGHT, _FOUR):
            position += 8 if wire == _EIGHT else 4
        elif wire in (_START, _END):
            groups += 1 if wire == _START else -1
            continue
        else:
            return
        if position > end or groups < 0:
            return
        if not groups:
            yield number, wire, value, position


def _varint(content: Content, position: int, end: int) -> tuple[int, int]:
    """Return a number stored as seven bits a byte, and where it ends; a position behind the end if it is cut off."""
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    return 0, end + 1
