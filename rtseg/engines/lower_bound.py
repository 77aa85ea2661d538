"""Compute the least time that one frame of an engine can take on a card: a lower bound, not a forecast.

Two things take time however good the kernels are, and they can overlap:

    operations   the products of each kernel (engine_macs), at the card's fastest rate for the kernel's precision, at
                 its highest clock. A kernel whose products are unknown adds nothing, and neither does any other
                 operation.
    memory       the bytes that must pass between cache and memory, at full bandwidth: every input and constant once,
                 every output once, and the part of a tensor between two kernels that the L2 cannot hold, written
                 once and read once. The frame begins with an empty cache and ends when its outputs are in memory.

The bound of a kernel, and of the whole engine, is the larger of the two. Kernels may run concurrently, so their bounds
are not summed. Compulsory bytes are counted with the kernel that first needs them.

Operations are those of the direct product. A Winograd convolution needs fewer and can be faster than the bound if the
layer information does not name its tactic, as with TensorRT for RTX.

Traffic is another figure: the bytes of all tensors that all kernels list (account), divided by the bandwidth. With a
cache less passes through memory, so traffic is not a limit.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rtseg.engines.engine_macs import macs_of_layers

if TYPE_CHECKING:
    from rtseg.engines.cards import Card
    from rtseg.engines.inspector import LayerTensor
    from rtseg.engines.layer_audit import Audit

OPERATIONS_OF_A_MAC = 2


@dataclass(frozen=True)
class KernelBound:
    """The lower bound of one kernel.

    macs are its multiply-accumulates, None if they cannot be counted. operations_ms is their time; it is 0, and counted
    is False, if macs is None or the card has no rate for the precision. memory_bytes are the compulsory bytes.
    measured_ms is the time in a profile, None without one.
    """

    name: str
    kind: str
    precision: str
    operators: tuple[str, ...]
    macs: int | None
    counted: bool
    operations_ms: float
    memory_bytes: int
    memory_ms: float
    measured_ms: float | None

    @property
    def ms(self) -> float:
        """The lower bound."""
        return max(self.operations_ms, self.memory_ms)

    @property
    def reached(self) -> float | None:
        """The part of the measured time that the bound is, None without a profile."""
        return _part(self.ms, self.measured_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {
            "name": self.name,
            "kind": self.kind,
            "precision": self.precision,
            "operators": list(self.operators),
            "macs": self.macs,
            "counted": self.counted,
            "operations_ms": self.operations_ms,
            "memory_bytes": self.memory_bytes,
            "memory_ms": self.memory_ms,
            "ms": self.ms,
            "measured_ms": self.measured_ms,
            "reached": self.reached,
        }


@dataclass(frozen=True)
class LowerBound:
    """The lower bound of one frame of an engine on a card, kernel by kernel in launch order.

    traffic_ms is the time to move the bytes of all tensors that all kernels list, at full bandwidth. measured_ms is the
    sum of the layer times of a profile, None without one.
    """

    card: Card
    kernels: tuple[KernelBound, ...]
    traffic_ms: float
    measured_ms: float | None

    @cached_property
    def operations_ms(self) -> float:
        """The time of all operations."""
        return sum(kernel.operations_ms for kernel in self.kernels)

    @cached_property
    def memory_bytes(self) -> int:
        """The bytes that must be read from memory and written to it."""
        return sum(kernel.memory_bytes for kernel in self.kernels)

    @cached_property
    def memory_ms(self) -> float:
        """The time of these bytes at full bandwidth."""
        return sum(kernel.memory_ms for kernel in self.kernels)

    @property
    def ms(self) -> float:
        """The lower bound of the frame."""
        return max(self.operations_ms, self.memory_ms)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all kernels that can be counted."""
        return sum(kernel.macs or 0 for kernel in self.kernels)

    @property
    def uncounted(self) -> int:
        """Number of kernels with products that are not counted here."""
        return sum(not kernel.counted for kernel in self.kernels)

    @property
    def reached(self) -> float | None:
        """The part of the measured time that the bound is, None without a profile."""
        return _part(self.ms, self.measured_ms)

    def summary(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        return {
            "card": self.card.to_json(),
            "ms": self.ms,
            "operations_ms": self.operations_ms,
            "macs": self.macs,
            "uncounted_kernels": self.uncounted,
            "memory_ms": self.memory_ms,
            "memory_bytes": self.memory_bytes,
            "traffic_ms": self.traffic_ms,
            "measured_ms": self.measured_ms,
            "reached": self.reached,
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the sums, and every kernel."""
        return {**self.summary(), "kernels": [kernel.to_json() for kernel in self.kernels]}


def lower_bound(audit: Audit, card: Card, *, measured: bool = True, stored_bytes: int | None = None) -> LowerBound:
    """Return the lower bound of an engine on a card.

    stored_bytes is the size of the engine's file. All constants together count no more than that: the file holds equal
    ones, such as the zeros that pad depthwise INT8 weights, only once, and the layer information names each.

    measured is True if the audit's times, if any, were measured on that card. If the layer information has a separate
    build for the card's compute capability, its layers are used, unless there are times: those belong to the engine's
    own list.
    """
    timed = measured and audit.timed
    part = audit if timed else audit.alone.get(card.compute_capability, audit)
    compulsory = _Compulsory(part, card.l2_bytes, stored_bytes)
    kernels = []
    for entry, macs in zip(part.layers, macs_of_layers(part.layers, part.engine.macs)):
        layer, rate = entry.layer, card.operations_per_second(entry.precision)
        size = compulsory.of(layer.inputs, layer.constants or (), layer.outputs)
        kernels.append(
            KernelBound(
                layer.name,
                layer.kind,
                entry.precision,
                layer.operators,
                macs,
                counted=macs == 0 or (macs is not None and rate is not None),
                operations_ms=1e3 * OPERATIONS_OF_A_MAC * macs / rate if macs and rate else 0.0,
                memory_bytes=size,
                memory_ms=_memory_ms(size, card),
                measured_ms=entry.ms if timed else None,
            )
        )
    return LowerBound(card, tuple(kernels), _memory_ms(part.account.bytes, card), part.total_ms if timed else None)


class _Compulsory:
    """Computes the bytes that each kernel must move; call it for the kernels in launch order.

    A tensor listed in parts, such as the inputs of a concatenation, has one name. Of all reads under a name the largest
    counts, and of an output no more than its own size.
    """

    def __init__(self, audit: Audit, l2_bytes: int, stored_bytes: int | None) -> None:
        self._l2_bytes = l2_bytes
        self._stored = sys.maxsize if stored_bytes is None else stored_bytes
        self._inputs = {tensor.name for tensor in audit.engine.inputs}
        self._outputs = {tensor.name: tensor.bytes or 0 for tensor in audit.engine.outputs}
        self._read: defaultdict[str, int] = defaultdict(int)

    def of(
        self, inputs: Iterable[LayerTensor], constants: Iterable[LayerTensor], outputs: Iterable[LayerTensor]
    ) -> int:
        """Return the bytes of the next kernel."""
        size = sum(self._newly_read(tensor, tensor.name in self._inputs) for tensor in inputs)
        constant = min(sum(self._newly_read(tensor, True) for tensor in constants), self._stored)
        self._stored -= constant
        return size + constant + sum(map(self._written, outputs))

    def _newly_read(self, tensor: LayerTensor, starts_in_memory: bool) -> int:
        needed = (tensor.bytes or 0) if starts_in_memory else self._beyond(tensor)
        more = max(0, needed - self._read[tensor.name])
        self._read[tensor.name] += more
        return more

    def _written(self, tensor: LayerTensor) -> int:
        if tensor.name not in self._outputs:
            return self._beyond(tensor)
        size = min(tensor.bytes or 0, self._outputs[tensor.name])
        self._outputs[tensor.name] -= size
        return size

    def _beyond(self, tensor: LayerTensor) -> int:
        return max(0, (tensor.bytes or 0) - self._l2_bytes)


def _memory_ms(size: int, card: Card) -> float:
    return size / (card.bandwidth_gb_s * 1e6)


def _part(bound: float, measured: float | None) -> float | None:
    return bound / measured if measured else None
