"""Reduce descriptions of TensorRT's Python API, taken from the binding wheels, to what the contract test asks.

    python tests/data/tensorrt_api/reduce.py FOLDER_OF_FULL_FILES

A full file, as describe.py writes it, tells of every class what `dir` and the signatures in pybind11's docstrings gave.
It is called as the reduced one will be: 11.4.json, or rtx-1.7.json for TensorRT for RTX, whose API is told in the same
words. The reduced one keeps names, the integers of enumerations, whether a property can be set, and of each overload
the names of its parameters, which of them have a default, and those types that are TensorRT's own. Layers and plugins
are left out: networks come from the ONNX parser.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEVERITIES = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
PLAIN = frozenset(
    {"None", "bool", "buffer", "bytes", "int", "list", "memoryview", "str", "tuple", "typing_extensions.Buffer"}
)
"""Types of Python. What is neither these nor a class of TensorRT's is written as a question mark."""
LEFT_OUT = re.compile(r"I\w+Layer|I(Plugin|Int8|Algorithm|Caffe|Uff|Loop|If)\w*|Plugin\w+|Caffe\w*|Uff\w*|\w+Operation")


def reduced(full: dict[str, Any], sha256: str) -> dict[str, Any]:
    """Return the reduced form of a full file's content."""
    api = {name: members for name, members in full["api"].items() if not LEFT_OUT.fullmatch(name)}
    functions = {name: _reduced_member(value, api) for name, value in api.pop("module").items()}
    classes: dict[str, dict[str, Any]] = {}
    for name, members in sorted(api.items()):
        members = dict(members)
        if members.get("__init__") == "callable":
            del members["__init__"]  # pybind11's, of a class that Python cannot make
        classes[name] = {member: _reduced_member(value, api) for member, value in sorted(members.items())}
    for name in ("ILogger", "Logger"):
        for severity in SEVERITIES:
            classes[name][severity] = "constant ILogger.Severity"
        classes[name]["Severity"] = "class ILogger.Severity"
    classes["ILogger.Severity"] = {**dict.fromkeys(SEVERITIES, "enum"), "name": "ro", "value": "ro"}
    return {"version": full["version"], "full_sha256": sha256, "functions": functions, "classes": classes}


def _reduced_member(value: Any, api: dict[str, Any]) -> Any:
    """An integer, "ro", "rw", "constant", "callable" without a known signature, or a list of signatures."""
    if isinstance(value, str):
        kind, _, rest = value.partition(" ")
        if kind == "enum":
            return int(rest)
        return rest.split()[0] if kind == "property" else {"attribute": "callable"}.get(kind, kind)
    overloads = value if len(value) == 1 else [text for text in value if "(*args, **kwargs)" not in text]
    return [_reduced_signature(text, api) for text in overloads]


def _reduced_signature(text: str, api: dict[str, Any]) -> str:
    """Return `name(self: A, b: B = 1, c: int) -> C` as `(b: B=, c) -> C`."""
    matched = re.match(r"\w+\((.*?)\)(?: -> (.*))?$", text.split("\n")[0])
    assert matched, text
    parameters = []
    for parameter in _at_the_top(matched[1]):
        name, _, rest = parameter.partition(":")
        if name.strip() == "self":
            continue
        kind, equals, _ = rest.partition("=")
        known = _known(kind.strip(), api)
        shown = name.strip() + (f": {known}" if known not in PLAIN | {"?"} else "")
        parameters.append(shown + ("=" if equals else ""))
    result = _known((matched[2] or "None").strip(), api)
    return f"({', '.join(parameters)}) -> {'plain' if result in PLAIN else result}"


def _at_the_top(text: str) -> list[str]:
    """Cut at the commas that are in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(<") - (character in "])>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def _known(kind: str, api: dict[str, Any]) -> str:
    kind = kind.replace("typing.SupportsInt", "int").replace("nvinfer1::", "").replace("nvonnxparser::", "")
    if matched := re.fullmatch(r"(?:[Ll]ist|collections\.abc\.Sequence)\[(.*)\]", kind):
        inner = _known(matched[1], api)
        return "list" if inner in PLAIN else "?" if inner == "?" else f"list[{inner}]"
    if kind in PLAIN or kind in api or kind == "ILogger.Severity":
        return kind
    if kind.startswith("ILogger::"):
        return "ILogger.Severity"
    return kind[1:] if kind[:1] == "I" and kind[1:] in api else "?"


def main() -> None:
    """Write the reduced form of every full file beside this script."""
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        content = path.read_bytes()
        data = reduced(json.loads(content), hashlib.sha256(content).hexdigest())
        lines = json.dumps({**data, "classes": {}}, indent=1)[: -len("{}\n}")]
        lines += "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(m)}" for name, m in data["classes"].items())
        (HERE / path.name).write_text(lines + "\n}\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
