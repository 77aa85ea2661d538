"""Tables of functions for a double of TensorRT, made of the headers of a release.

TensorRT's classes hand each call to a table, whose functions differ from release to release. A table made here has all
of them in the headers' order, each of which ends the process and names itself; a double fills in what it means to have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_FUNCTION = re.compile(r"virtual\s+([^;{}]*?)\s*\b(\w+)\(([^;{}]*)\)\s*(const)?\s*noexcept\s*=\s*0\s*;")


def tables(headers: Path, names: Iterable[str]) -> str:
    """Return C++ that derives, of each table VName of the headers, one TName without pure functions."""
    source = re.sub(r"//[^\n]*|/\*.*?\*/", "", (headers / "NvInferImpl.h").read_text(encoding="utf-8"), flags=re.DOTALL)
    source = re.sub(r"#if ENABLE_FEATURE.*?#endif", "", source, flags=re.DOTALL)
    lines = ["namespace nvinfer1::apiv {"]
    for name in names:
        found = re.search(rf"class {name} : public VRoot\s*\{{(.*?)\n\}};", source, re.DOTALL)
        if found is None:
            continue
        lines.append(f"struct T{name[1:]} : {name} {{")
        for returned, function, parameters, const in _FUNCTION.findall(found[1]):
            result = re.sub(r"TRT_NODISCARD|TRT_DEPRECATED", "", returned)
            lines.append(
                f'{result} {function}({parameters}) {const} noexcept override {{ unexpected("{name}::{function}"); }}'
            )
        lines.append("};")
    return "\n".join([*lines, "}"])
