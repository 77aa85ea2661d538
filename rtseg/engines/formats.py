"""Map TensorRT's names of data types and formats to one short name each."""

from __future__ import annotations

import re

UNKNOWN = "unknown"

_DATA_TYPES = {
    "fp32": "fp32",
    "float": "fp32",
    "fp16": "fp16",
    "half": "fp16",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp4": "fp4",
    "int8": "int8",
    "int4": "int4",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "bool": "bool",
}
BITS = {
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "fp4": 4,
    "int8": 8,
    "int4": 4,
    "int32": 32,
    "int64": 64,
    "uint8": 8,
    "bool": 8,
}
"""Bytes of one value, by data type."""

_WIDTHS = {"two": 2, "four": 4, "eight": 8, "sixteen": 16, "thirty-two": 32}


def data_type_of(text: str) -> str:
    """Return the data type that a description names, "unknown" if it names none.

    "Row major linear FP32", "Half" and "Thirty-two wide channel vectorized row major Int8 format" name one, "N/A due to
    dynamic shapes" does not.
    """
    for word in re.findall(r"[A-Za-z]+\d*", text):
        if word.lower() in _DATA_TYPES:
            return _DATA_TYPES[word.lower()]
    return UNKNOWN


def layout_of(text: str) -> str:
    """Return TensorRT's name of the described format, such as LINEAR, HWC8 or CHW32; empty if there is none."""
    lowered = text.lower()
    if named := re.search(r"\(k([a-z0-9_]+)\)", lowered) or re.fullmatch(
        r"k?((?:dla_)?(?:linear|c?d?hwc?\d*))", lowered
    ):
        return named[1].upper()
    volume = "D" if "3 spatial dimensions" in lowered else ""
    vector = re.search(r"([a-z-]+) wide channel vectorized", lowered)
    if vector and vector[1] in _WIDTHS:
        return f"C{volume}HW{_WIDTHS[vector[1]]}"
    dla = "DLA_" if "column stride" in lowered else ""
    if "channel major" in lowered:
        multiple = re.search(r"channel (?:%|==) (\d+)", lowered)
        return f"{dla}{volume}HWC{multiple[1] if multiple else ''}"
    return f"{dla}LINEAR" if "row major" in lowered and not vector else ""
