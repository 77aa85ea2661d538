"""Counts what TensorRT for RTX's verbose log tells of a finished engine: a second reader, to check another one by."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

SIZES = {"Float": 4, "Half": 2, "BFloat16": 2, "FP8": 1, "Int8": 1, "UInt8": 1, "Bool": 1, "Int32": 4, "Int64": 8}
LAUNCH_NOTHING = ("signal", "wait")  # an event between two streams: neither tensors nor a tactic
CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass
class Counted:
    kernels: int = 0
    bytes_read: int = 0
    constant_bytes: int = 0
    bytes_written: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.constant_bytes + self.bytes_written


class Scanner:
    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0

    def need(self, found: bool, what: str) -> None:
        if not found:
            raise ValueError(f"{what} expected at {self.at}: {self.line[max(self.at - 60, 0) : self.at + 60]!r}")

    def sees(self, token: str) -> bool:
        found = self.line.startswith(token, self.at)
        self.at += len(token) if found else 0
        return found

    def skip_to(self, token: str) -> str:
        start, found = self.at, self.line.find(token, self.at)
        self.need(found >= 0, f"a later {token!r}")
        self.at = found
        return self.line[start:found]

    def walk(self) -> str:
        """The text up to the first comma or brace that no bracket encloses; leaves the scanner on it."""
        start, waiting = self.at, []
        while (char := self.line[self.at : self.at + 1]) and (waiting or char not in ",}"):
            if char in CLOSING:
                waiting.append(CLOSING[char])
            elif char in CLOSING.values():
                self.need(bool(waiting) and waiting.pop() == char, "another bracket")
            self.at += 1
        return self.line[start : self.at]

    def tensor(self) -> int:
        """One tensor's bytes. Its name may hold anything, so nothing before its dimensions is walked."""
        self.need(self.sees("{ Name: ") and "{ Name: " not in self.skip_to(", Dimensions: ["), "a tensor's dimensions")
        fields = {}
        while not self.sees("}"):
            self.need(self.sees(", "), "another field")
            key, _, value = self.walk().partition(": ")
            fields[key.removeprefix("Format/")] = value.strip()  # a later one wins: the earlier was the name's
        kind, sizes = fields.get("Datatype", ""), [int(n) for n in fields["Dimensions"][1:-1].split(",") if n]
        self.need(kind in SIZES and min(sizes, default=0) >= 0, f"before this, not {kind!r} {sizes}, a size was")
        return SIZES[kind] * math.prod(sizes)

    def tensors(self, title: str) -> int:
        self.need(self.sees(f", {title}: ["), title)
        total = 0
        while not self.sees("]"):
            self.need(self.sees(", ") or self.sees(" "), "another tensor")
            total += self.tensor()
        return total


def count(text: str) -> Counted:
    counted = Counted()
    for line in filter(str.strip, text.removeprefix("Layers:").partition("\nI/O Tensors:")[0].split("\n")):
        scan = Scanner(line)
        scan.need(scan.sees("Name: ") and bool(scan.skip_to(", LayerType: ")), "a layer")
        kind = scan.skip_to(", Inputs: [").rpartition(", LayerType: ")[2]
        counted.kinds[kind] += 1
        counted.kernels += kind not in LAUNCH_NOTHING
        counted.bytes_read += scan.tensors("Inputs")
        counted.constant_bytes += scan.tensors("Constants") if line.startswith(", Constants: [", scan.at) else 0
        counted.bytes_written += scan.tensors("Outputs")
    return counted
