"""The least time that one frame of an engine takes on a card, by its figures: a lower bound, no forecast.

Two things take time however well an engine is written, and neither waits for the other:

    operations   of the products of each kernel, at the card's fastest rate for the precision that the kernel computes
                 in, at its highest clock. A kernel whose products cannot be told counts as nothing, and so does all
                 that is no product.
    memory       what has to pass between the cache and the memory, at the full bandwidth: every input and constant
                 once, every output once, and of a tensor between two kernels what the L2 cannot hold, once written and
                 once read. The frame begins with an empty cache and ends when its outputs are in memory.

The bound of a kernel, and of the whole engine, is the larger of the two. Kernels may run beside each other, so the
bounds of the kernels are not summed. What is compulsory is counted with the kernel that first needs it.

Operations are those of the direct product. A convolution by Winograd's algorithm does with fewer, and can come in under
the bound where the text does not tell its tactic, as that of TensorRT for RTX does not.

Traffic is another figure: the bytes of all tensors that all kernels list (account), over the bandwidth. A cache makes
do with less, so it is no limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rtseg.engines.layer_work import macs_of

if TYPE_CHECKING:
    from rtseg.engines.cards import Card
    from rtseg.engines.inspector import LayerTensor
    from rtseg.engines.layer_audit import Audit

OPERATIONS_OF_A_MAC = 2


@dataclass(frozen=True)
class KernelBound:
    """What one kernel takes at least.

    macs are its multiply-accumulates, None where they cannot be told. operations_ms is their time, 0 where macs is None
    and where the card has no rate for the precision, which counted is False for. memory_bytes are compulsory.
    measured_ms is the time of a profile, None without one.
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
        """Return plain values."""
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
    """What one frame of an engine takes at least on a card, kernel by kernel in the order of their launch.

    traffic_ms is the time of all listed bytes at the full bandwidth. measured_ms is the sum of a profile.
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
        """What has to be read from memory and written to it."""
        return sum(kernel.memory_bytes for kernel in self.kernels)

    @cached_property
    def memory_ms(self) -> float:
        """The time of these bytes."""
        return sum(kernel.memory_ms for kernel in self.kernels)

    @property
    def ms(self) -> float:
        """The lower bound of the frame."""
        return max(self.operations_ms, self.memory_ms)

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all kernels of which they can be told."""
        return sum(kernel.macs or 0 for kernel in self.kernels)

    @property
    def uncounted(self) -> int:
        """How many kernels have products that count as nothing here."""
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


def lower_bound(audit: Audit, card: Card, *, measured: bool = True) -> LowerBound:
    """Return the lower bound of an engine on a card.

    measured says that the times of the audit, if it has any, were taken on that card. Where the text has the layers of
    a build for the card's compute capability alone they are taken, unless there are times: those are of the engine's
    own list.
    """
    timed = measured and audit.timed
    part = audit if timed else audit.alone.get(card.compute_capability, audit)
    compulsory = _Compulsory(part, card.l2_bytes)
    kernels = []
    for entry in part.layers:
        layer = entry.layer
        macs, rate = macs_of(layer, entry.work), card.operations_per_second(entry.precision)
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
    """Gives the bytes that each kernel has to move, if asked in the order of their launch.

    A tensor that is told in parts, as those that a concatenation joins, has one name: of what is read under a name the
    largest part counts, and of an output no more than its own size.
    """

    def __init__(self, audit: Audit, l2_bytes: int) -> None:
        self._l2_bytes = l2_bytes
        self._inputs = {tensor.name for tensor in audit.engine.inputs}
        self._outputs = {tensor.name: tensor.bytes or 0 for tensor in audit.engine.outputs}
        self._read: defaultdict[str, int] = defaultdict(int)

    def of(
        self, inputs: Iterable[LayerTensor], constants: Iterable[LayerTensor], outputs: Iterable[LayerTensor]
    ) -> int:
        """Return those of the next kernel."""
        size = sum(self._newly_read(tensor, tensor.name in self._inputs) for tensor in inputs)
        size += sum(self._newly_read(tensor, True) for tensor in constants)
        return size + sum(map(self._written, outputs))

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
