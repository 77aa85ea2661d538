"""Convert the builder log of TensorRT for RTX into the JSON that TensorRT's engine inspector would write.

Without a GPU there is no inspector. But with ProfilingVerbosity.DETAILED the builder lists the engine's kernels in one
long verbose message:

    Layers:
    Name: N, LayerType: T, Inputs: [ TENSOR, ...], Constants: [ TENSOR, ...], Outputs: [ TENSOR, ...], TacticName: ...,
        StreamId: 0, Metadata: [ONNX Layer: a][ONNX Layer: b]                           (one line)
    ...
    I/O Tensors:                                                                        (in 1.4 "Bindings:" and names)
     Name: N, IOMode: Input, DataType: Float, Dimensions: [...], ... Format: ...

    TENSOR from 1.5 on   { Name: N, Dimensions: [...], Strides: [...], StrideOrder: [...], Datatype: D, Format: F }
    TENSOR in 1.4        { Name: N, Dimensions: [...], Format/Datatype: D }, and no Constants

Every character of a line must be recognised; anything else is an error. This log is the only proof of what was built,
and a line skipped silently would be a kernel missing from every count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rtseg.errors import EngineError

BEGINNING = "Layers:\n"
_ENDS = re.compile(r"\n(I/O Tensors|Bindings):\n")

_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*?)\], "
    r"(?:Constants: \[(?P<constants>.*?)\], )?Outputs: \[(?P<outputs>.*?)\], "
    r"TacticName: (?P<tactic>.*?), StreamId: (?P<stream>-?\d+)(?:, EventId: -?\d+)?, Metadata: (?P<metadata>.*)"
)
_TENSOR = re.compile(
    r" ?\{ Name: (?P<name>(?:(?!, Dimensions: \[).)*), Dimensions: \[(?P<shape>[-\d,]*)\], "
    r"(?:Strides: \[(?P<strides>[-\d,]*)\], StrideOrder: \[[-\d,]*\], "
    r"Datatype: (?P<type>\w+), Format: (?P<format>[^{}]*)"
    r"|Format/Datatype: (?P<both>[^{}]*)) \}(?:,|$)"
)
_END = re.compile(
    r" ?Name: (?P<name>.*?), IOMode: (?P<mode>\w+), DataType: (?P<type>\w+), Dimensions: \[(?P<shape>[-\d,]*)\], "
    r".*?(?:Format: (?P<format>[^}]*?) \}.*)?"
)


def is_layer_list(message: str) -> bool:
    """Return whether a builder message is the list of an engine's layers."""
    return message.startswith(BEGINNING)


def inspector_json(message: str) -> dict[str, Any]:
    """Return the list as a JSON object for engines.inspector.parse_layers.

    It has "Layers" and "I/O Tensors" as TensorRT 11 writes them and, unlike the inspector, "Constants" beside a layer's
    "Inputs" and "Outputs". The log of 1.4 gives no "Constants", and "Bindings" instead of "I/O Tensors". Raises
    EngineError, with the line, for a text of another form.
    """
    found = _ENDS.search(message)
    if not is_layer_list(message) or found is None:
        raise _unreadable("no list of layers and of the ends", message[:80])
    body, ends = message[len(BEGINNING) : found.start()], message[found.end() :]
    layers = [_layer(line) for line in body.split("\n") if line.strip()]
    if not layers:
        raise _unreadable("an empty list of layers", "no line")
    # An empty line ends the tensors; what follows is about the engine itself.
    lines = ends.partition("\n\n")[0].strip("\n").split("\n")
    if found[1] == "Bindings":
        return {"Layers": layers, "Bindings": lines}
    return {"Layers": layers, "I/O Tensors": [_end(line) for line in lines]}


def _layer(line: str) -> dict[str, Any]:
    matched = _LAYER.fullmatch(line)
    if matched is None:
        raise _unreadable("a line that is no layer", line)
    entry: dict[str, Any] = {"Name": matched["name"], "LayerType": matched["kind"]}
    for key, group in (("Inputs", "inputs"), ("Constants", "constants"), ("Outputs", "outputs")):
        if matched[group] is not None:
            entry[key] = list(_tensors(matched[group], line))
    entry["TacticName"] = matched["tactic"]
    entry["StreamId"] = int(matched["stream"])
    entry["Metadata"] = matched["metadata"]
    return entry


def _tensors(text: str, line: str) -> Iterator[dict[str, Any]]:
    place = 0
    while place < len(text):
        matched = _TENSOR.match(text, place)
        if matched is None:
            raise _unreadable("a tensor of another form", text[place : place + 120] or line)
        place = matched.end()
        entry: dict[str, Any] = {"Name": matched["name"], "Dimensions": _numbers(matched["shape"])}
        if matched["both"] is not None:
            entry["Format/Datatype"] = matched["both"]
        else:
            entry["Strides"] = _numbers(matched["strides"])
            entry["Datatype"], entry["Format"] = matched["type"], matched["format"]
        yield entry


def _end(line: str) -> dict[str, Any]:
    matched = _END.fullmatch(line)
    if matched is None:
        raise _unreadable("a line that is no end of the engine", line)
    return {
        "Name": matched["name"],
        "IOMode": matched["mode"],
        "Datatype": matched["type"],
        "Dimensions": _numbers(matched["shape"]),
        "ProfileInfo": [{"Format": matched["format"] or ""}],
    }


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")] if text else []


def _unreadable(what: str, got: str) -> EngineError:
    return EngineError(
        f"the builder's log cannot be read: {what}",
        got=repr(got[:120]),
        expected="the form that TensorRT for RTX 1.4 to 1.7 writes",
        hint="install one of these releases, and report this line",
    )
