"""Describe the Python API of an installed TensorRT or TensorRT for RTX in full, as reduce.py takes it.

    python tests/data/tensorrt_api/describe.py tensorrt_rtx > FOLDER/rtx-1.7.json

What `dir` tells of every class, the signatures in pybind11's docstrings, the numbers of enumerations, and which
properties can be set. Nothing is called and nothing made, so it takes no GPU.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from types import ModuleType
from typing import Any


def described(module: ModuleType) -> dict[str, Any]:
    """Return the full form: of each class and, under "module", of the module, what its members are."""
    classes, functions = {}, {}
    for name in _public(module):
        value = getattr(module, name)
        if isinstance(value, type):
            classes[name] = _class(value)
        elif callable(value):
            functions[name] = _callable(name, value)
    return {"api": {**classes, "module": functions}, "version": module.__version__}


def written(full: dict[str, Any]) -> str:
    """Return the text of a full form, the same wherever it is taken."""
    return json.dumps(full, indent=1, sort_keys=True) + "\n"


def _public(holder: object) -> list[str]:
    return [name for name in dir(holder) if not name.startswith("_")]


def _class(holder: type) -> dict[str, Any]:
    numbers = getattr(holder, "__members__", {})
    members: dict[str, Any] = {"__init__": _callable("__init__", holder.__init__)}
    for name in _public(holder):
        value = getattr(holder, name)
        if name in numbers:
            members[name] = f"enum {int(value)}"
        elif isinstance(value, property):
            members[name] = "property ro" if value.fset is None else "property rw"
        else:
            members[name] = _callable(name, value)
    return members


def _callable(name: str, value: Any) -> str | list[str]:
    """Return the signatures of what pybind11 made, else only that there is something."""
    lines = (getattr(value, "__doc__", None) or "").splitlines()
    signatures = [re.sub(r"^\d+\. ", "", line) for line in lines if re.match(rf"(\d+\. )?{name}\(", line)]
    return [_everywhere(text) for text in signatures] or "callable"


def _everywhere(signature: str) -> str:
    """Return a signature without the bindings' module, and with the names that Python before 3.12 has for types."""
    signature = re.sub(r"\b\w+_bindings\.\w+\.", "", signature)
    return re.sub(r"\b(?:collections\.abc|types)\.(Buffer|CapsuleType)\b", r"typing_extensions.\1", signature)


if __name__ == "__main__":
    sys.stdout.write(written(described(importlib.import_module(sys.argv[1]))))
