"""What a kernel does that the compiler generated, by the name it gives it.

Myelin, the compiler in TensorRT and in TensorRT for RTX, calls a kernel after its operations, each cut to four letters
at most: __myl_MulAddReluMulMinMaxRounCast_myl0_7 multiplies, adds, takes the ReLU, and quantises to INT8. The letters
are no documented interface; they were read off the logs of 1.4 to 1.7.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"__myl_((?:[A-Z][a-z0-9]*)+)_")
_OPERATION = re.compile(r"[A-Z][a-z0-9]*")

MOVES = frozenset({"Move", "Resh", "Conc", "Slic", "Tran", "Cast", "Repl"})
"""Copy, reshape, concatenate, slice, transpose, change the type, replicate: the same values elsewhere or otherwise."""

_CONVOLUTIONS = frozenset({"Corr", "Deco"})
_MATRIX_PRODUCTS = frozenset({"Fc", "Gemm"})
_QUANTIZE = ("Mul", "Min", "Max", "Roun", "Cast")
_DEQUANTIZE = ("Cast", "Mul")


def operations(name: str) -> tuple[str, ...]:
    """Return the operations of a generated kernel, in the order in which it does them; none of any other name."""
    matched = _NAME.match(name)
    return tuple(_OPERATION.findall(matched[1])) if matched else ()


def convolves(name: str) -> bool:
    """Return whether a convolution, or a transposed one, is among the operations."""
    return not _CONVOLUTIONS.isdisjoint(operations(name))


def multiplies_matrices(name: str) -> bool:
    """Return whether a matrix product is among the operations."""
    return not _MATRIX_PRODUCTS.isdisjoint(operations(name))


def only_moves(name: str) -> bool:
    """Return whether a generated kernel computes nothing: it moves values, or changes type, scale or order."""
    found = operations(name)
    return bool(found) and MOVES.issuperset(_without(_without(found, _QUANTIZE), _DEQUANTIZE))


def _without(found: tuple[str, ...], pattern: tuple[str, ...]) -> tuple[str, ...]:
    left: list[str] = []
    place = 0
    while place < len(found):
        if found[place : place + len(pattern)] == pattern:
            place += len(pattern)
        else:
            left.append(found[place])
            place += 1
    return tuple(left)
