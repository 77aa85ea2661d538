"""Count the kernels that an engine launches, and the bytes that each kernel reads and writes.

A kernel is a layer that does work. Its bytes are the unpadded sizes of the tensors listed for it: inputs, constants
(weights, scales, tables) and outputs. This is the traffic of a kernel without any cache. It is a property of the
compiled graph, not a measurement; lower_bound computes the least time it can take. A tensor that one kernel lists twice
as an input counts twice; repeated_bytes is the part of the sum that such repeats add.
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
"""Number of kernels listed as the largest."""


@dataclass(frozen=True)
class Kernel:
    """One kernel with its traffic in bytes; constants is None if the layer information does not list them.

    moves is True if the kernel computes nothing: it copies, concatenates, or changes type, scale or order. operators
    are the names of the ONNX operators that it was made from, as far as the layer information gives them.
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
        """All bytes that the kernel reads and writes."""
        return self.read + (self.constants or 0) + self.written

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
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
    """The kernels of an engine in launch order, and the number of tensors of unknown size."""

    kernels: tuple[Kernel, ...]
    unsized: int

    @property
    def moving(self) -> int:
        """Number of kernels that only move or convert data."""
        return sum(kernel.moves for kernel in self.kernels)

    @property
    def bytes(self) -> int:
        """All bytes read and written; a lower limit if unsized is not 0."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def constant_bytes(self) -> int | None:
        """The bytes of constants, None if the layer information does not list them."""
        known = [kernel.constants for kernel in self.kernels if kernel.constants is not None]
        return sum(known) if known else None

    @property
    def repeated_bytes(self) -> int:
        """The bytes that a kernel reads again after it has read them once."""
        return sum(kernel.repeated for kernel in self.kernels)

    @property
    def largest(self) -> tuple[Kernel, ...]:
        """The ten kernels with the most traffic, the largest first."""
        return tuple(sorted(self.kernels, key=lambda kernel: -kernel.bytes)[:LARGEST])

    def by_precision(self) -> dict[str, dict[str, int]]:
        """Return kernels and bytes for each kernel precision, most bytes first."""
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
    """Return the account of the layers that do work (audit.Audit.layers)."""
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
