"""What an engine launches and moves: its kernels, and the bytes that each reads and writes.

A kernel is a layer that works. Its bytes are those of the tensors listed for it, without padding: what it reads, its
constants (weights, scales, tables) and what it writes. That is the traffic of a kernel that keeps nothing in a cache: a
fact about the graph that was compiled, not a measured one; what time it takes at least is told by lower_bound. A tensor
that is listed twice as an input of one kernel counts twice, and repeated_bytes says how much of the sum that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtseg.engines.generated_kernels import only_moves
from rtseg.engines.layer_precision import QUANTIZATION, REFORMAT

if TYPE_CHECKING:
    from rtseg.engines.audited_layer import AuditedLayer
    from rtseg.engines.inspector import LayerTensor

LARGEST = 10
"""So many kernels are named as the largest."""


@dataclass(frozen=True)
class Kernel:
    """One kernel with its traffic in bytes; constants is None where the text does not tell them.

    moves says that it computes nothing: it copies, concatenates, or changes type, scale or order. operators are the
    names of the ONNX operators that it was made from, as far as they are told.
    """

    name: str
    kind: str
    precision: str
    moves: bool
    read: int
    constants: int | None
    written: int
    repeated: int
    operators: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """All that it reads and writes."""
        return self.read + (self.constants or 0) + self.written

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "precision": self.precision,
            "moves": self.moves,
            "bytes": self.bytes,
            "read_bytes": self.read,
            "constant_bytes": self.constants,
            "written_bytes": self.written,
            "operators": list(self.operators),
        }


@dataclass(frozen=True)
class Account:
    """The kernels of an engine in the order in which they are launched, and how many tensors have no told size."""

    kernels: tuple[Kernel, ...]
    unsized: int

    @property
    def moving(self) -> int:
        """How many kernels only move or convert data."""
        return sum(kernel.moves for kernel in self.kernels)

    @property
    def bytes(self) -> int:
        """All that is read and written; where unsized is not 0, at least that."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def constant_bytes(self) -> int | None:
        """The part of them that is constants, None where they are not told."""
        told = [kernel.constants for kernel in self.kernels if kernel.constants is not None]
        return sum(told) if told else None

    @property
    def repeated_bytes(self) -> int:
        """The part of them that one kernel reads more than once."""
        return sum(kernel.repeated for kernel in self.kernels)

    @property
    def largest(self) -> tuple[Kernel, ...]:
        """The ten kernels with the most traffic, the largest first."""
        return tuple(sorted(self.kernels, key=lambda kernel: -kernel.bytes)[:LARGEST])

    def by_precision(self) -> dict[str, dict[str, int]]:
        """Return kernels and bytes by the precision of the kernels, the most bytes first."""
        rows: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"kernels": 0, "bytes": 0})
        for kernel in self.kernels:
            row = rows[kernel.precision]
            row["kernels"] += 1
            row["bytes"] += kernel.bytes
        return dict(sorted(rows.items(), key=lambda item: -item[1]["bytes"]))

    def summary(self) -> dict[str, Any]:
        """Return the sums as plain values, short enough for a manifest."""
        return {
            "kernels": len(self.kernels),
            "moving": self.moving,
            "moving_bytes": sum(kernel.bytes for kernel in self.kernels if kernel.moves),
            "bytes": self.bytes,
            "read_bytes": sum(kernel.read for kernel in self.kernels),
            "written_bytes": sum(kernel.written for kernel in self.kernels),
            "constant_bytes": self.constant_bytes,
            "repeated_bytes": self.repeated_bytes,
            "unsized_tensors": self.unsized,
            "by_precision": self.by_precision(),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the sums, the largest kernels, and every kernel with its ONNX operators."""
        return {
            **self.summary(),
            "largest": [kernel.to_json() for kernel in self.largest],
            "each": [kernel.to_json() for kernel in self.kernels],
        }


def account_of(layers: Iterable[AuditedLayer]) -> Account:
    """Return the account of the layers of an engine that work (audit.Audit.layers)."""
    kernels, unsized = [], 0
    for entry in layers:
        layer = entry.layer
        sides = (layer.inputs, layer.constants or (), layer.outputs)
        unsized += sum(tensor.bytes is None for side in sides for tensor in side)
        read, constants, written = (sum(tensor.bytes or 0 for tensor in side) for side in sides)
        kernels.append(
            Kernel(
                layer.name,
                layer.kind,
                entry.precision,
                entry.work in (REFORMAT, QUANTIZATION) or only_moves(layer.name),
                read,
                None if layer.constants is None else constants,
                written,
                read - sum(tensor.bytes or 0 for tensor in _distinct(layer.inputs)),
                layer.operators,
            )
        )
    return Account(tuple(kernels), unsized)


def _distinct(tensors: Iterable[LayerTensor]) -> Iterable[LayerTensor]:
    return {tensor.name: tensor for tensor in reversed(tuple(tensors))}.values()
