"""Read the operations of a compiler-generated kernel from its name.

Myelin, the compiler in TensorRT and in TensorRT for RTX, names a kernel after its operations, each cut to at most four
letters: __myl_MulAddReluMulMinMaxRounCast_myl0_7 multiplies, adds, takes the ReLU, and quantizes to INT8. These letters
are not a documented interface; they were collected from the logs of 1.4 to 1.7.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"__myl_((?:[A-Z][a-z0-9]*)+)_")
_OPERATION = re.compile(r"[A-Z][a-z0-9]*")

MOVES = frozenset({"Move", "Resh", "Conc", "Slic", "Tran", "Cast", "Repl"})
"""Operations that keep the values and change only their place, order or type: copy, reshape, slice, transpose, ..."""

_CONVOLUTIONS = frozenset({"Corr", "Deco"})
_MATRIX_PRODUCTS = frozenset({"Fc", "Gemm"})
_QUANTIZE = ("Mul", "Min", "Max", "Roun", "Cast")
_DEQUANTIZE = ("Cast", "Mul")


def operations(name: str) -> tuple[str, ...]:
    """Return the operations of a generated kernel in execution order; empty for any other kernel name."""
    matched = _NAME.match(name)
    return tuple(_OPERATION.findall(matched[1])) if matched else ()


def convolves(name: str) -> bool:
    """Return whether the operations include a convolution, transposed or not."""
    return not _CONVOLUTIONS.isdisjoint(operations(name))


def multiplies_matrices(name: str) -> bool:
    """Return whether the operations include a matrix product."""
    return not _MATRIX_PRODUCTS.isdisjoint(operations(name))


def only_moves(name: str) -> bool:
    """Return whether a generated kernel computes nothing: it only moves values, or changes type, scale or order."""
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
