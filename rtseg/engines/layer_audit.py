"""Count an engine's layers by precision and, with a profile, add up their time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from rtseg.engines.account import Account, account_of
from rtseg.engines.audited_layer import AuditedLayer
from rtseg.engines.inspector import EngineLayer, EngineLayers, LayerTensor
from rtseg.engines.layer_precision import (
    FLOATS,
    LAYER_PRECISIONS,
    NO_WORK,
    QUANTIZATION,
    REFORMAT,
    WEIGHTED,
    precision_of,
    work_of,
)
from rtseg.engines.layer_times import LayerTimes


@dataclass(frozen=True)
class PrecisionRow:
    """The layers of one precision. Shares are 0 to 1 and sum to 1 over all rows; ms and time_share need a profile."""

    precision: str
    layers: int
    layer_share: float
    ms: float | None
    time_share: float | None


@dataclass(frozen=True)
class Conversion:
    """A layer that only changes a tensor's type or format. place is "input", "output" or "inside" of the engine."""

    layer: str
    tensor: str
    before: str
    after: str
    place: str
    ms: float | None


@dataclass(frozen=True)
class Audit:
    """The layers of an engine that do work, in order, and the figures derived from them.

    Layers that compute nothing (NoOp, Constant, ...) are left out of every count; skipped is their number.
    """

    engine: EngineLayers
    layers: tuple[AuditedLayer, ...]
    skipped: int
    timed: bool

    @property
    def total_ms(self) -> float | None:
        """The time of all these layers in milliseconds, None without a profile."""
        return _sum_ms(self.layers) if self.timed else None

    @cached_property
    def rows(self) -> tuple[PrecisionRow, ...]:
        """One row for each precision that occurs, in the order of layer_precision.LAYER_PRECISIONS."""
        total, rows = self.total_ms, []
        for precision in LAYER_PRECISIONS:
            group = [entry for entry in self.layers if entry.precision == precision]
            if group:
                ms = _sum_ms(group) if self.timed else None
                share = ms / total if ms is not None and total else None
                rows.append(PrecisionRow(precision, len(group), len(group) / len(self.layers), ms, share))
        return tuple(rows)

    @cached_property
    def weighted(self) -> tuple[AuditedLayer, ...]:
        """The convolutions and matrix products: they do most of the work, and a requested precision applies to them."""
        return tuple(entry for entry in self.layers if entry.work in WEIGHTED)

    @cached_property
    def account(self) -> Account:
        """The kernels, with the bytes that each reads and writes."""
        return account_of(self.layers)

    @cached_property
    def alone(self) -> dict[str, Audit]:
        """One audit for each separate build by compute capability; empty if the layer information has none."""
        return {capability: audit(engine) for capability, engine in self.engine.alone.items()}

    @cached_property
    def reformats(self) -> tuple[Conversion, ...]:
        """The layers that only convert values to another type or format."""
        return self._conversions(REFORMAT)

    @cached_property
    def unfused(self) -> tuple[Conversion, ...]:
        """The QuantizeLinear and DequantizeLinear that run as separate layers. One at the engine's input is normal."""
        return self._conversions(QUANTIZATION)

    @cached_property
    def between_int8(self) -> tuple[AuditedLayer, ...]:
        """The floating-point layers between INT8 ones, with no other convolution or matrix product on the way."""
        written, read = _neighbours(self.engine.layers)
        int8 = {id(entry.layer) for entry in self.layers if entry.precision == "int8"}
        through = {id(entry.layer) for entry in self.layers if entry.work not in WEIGHTED}
        through |= {id(layer) for layer in self.engine.layers if work_of(layer) == NO_WORK}

        def meets(layer: EngineLayer, forward: bool) -> bool:
            seen: set[int] = set()
            waiting = [layer]
            while waiting:
                current = waiting.pop()
                tensors, others = (current.outputs, read) if forward else (current.inputs, written)
                for other in (other for tensor in tensors for other in others[tensor.name]):
                    if id(other) in int8:
                        return True
                    if id(other) in through and id(other) not in seen:
                        seen.add(id(other))
                        waiting.append(other)
            return False

        return tuple(
            entry
            for entry in self.layers
            if entry.precision in FLOATS and meets(entry.layer, False) and meets(entry.layer, True)
        )

    def shares(self) -> dict[str, Any]:
        """Return the number of layers in each precision, as plain values short enough for a manifest."""
        return {
            "layers": len(self.layers),
            "precisions": {row.precision: row.layers for row in self.rows},
            "weighted": self._weighted_counts(),
            "reformats": len(self.reformats),
            "unfused": len(self.unfused),
            "operators": len(self.engine.asked) or None,
            "account": self.account.summary(),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values: counts, shares, milliseconds, names."""
        return {
            "schema": self.engine.schema,
            "layers": len(self.layers),
            "skipped_layers": self.skipped,
            "total_ms": self.total_ms,
            "precisions": [asdict(row) for row in self.rows],
            "weighted": self._weighted_counts(),
            "inputs": [asdict(tensor) for tensor in self.engine.inputs],
            "outputs": [asdict(tensor) for tensor in self.engine.outputs],
            "reformats": {
                "layers": [asdict(conversion) for conversion in self.reformats],
                "ms": _sum_ms(self.reformats) if self.timed else None,
                "time_share": self._time_share(self.reformats),
            },
            "unfused": {
                "layers": [asdict(conversion) for conversion in self.unfused],
                "ms": _sum_ms(self.unfused) if self.timed else None,
                "time_share": self._time_share(self.unfused),
            },
            "between_int8": [
                {"layer": entry.layer.name, "precision": entry.precision, "ms": entry.ms} for entry in self.between_int8
            ],
            "account": self.account.to_json(),
            "alone": {capability: part.shares() for capability, part in self.alone.items()},
        }

    def _weighted_counts(self) -> dict[str, int]:
        counts = {precision: count_of(self.weighted, precision) for precision in LAYER_PRECISIONS}
        return {precision: number for precision, number in counts.items() if number}

    def _time_share(self, conversions: Sequence[Conversion]) -> float | None:
        return _sum_ms(conversions) / self.total_ms if self.total_ms else None

    def _conversions(self, work: str) -> tuple[Conversion, ...]:
        ends = [{tensor.name for tensor in tensors} for tensors in (self.engine.inputs, self.engine.outputs)]
        return tuple(_conversion(entry, *ends) for entry in self.layers if entry.work == work)


def audit(engine: EngineLayers, times: LayerTimes | None = None) -> Audit:
    """Return the audit of an engine. times come from read_layer_times for the same engine."""
    milliseconds = times.milliseconds if times is not None else (None,) * len(engine.layers)
    working = [
        AuditedLayer(layer, work, precision_of(layer), ms)
        for layer, ms in zip(engine.layers, milliseconds)
        if (work := work_of(layer)) != NO_WORK
    ]
    return Audit(engine, tuple(working), len(engine.layers) - len(working), times is not None)


def count_of(layers: Iterable[AuditedLayer], *precisions: str) -> int:
    """Return how many of the layers have one of the precisions."""
    return sum(entry.precision in precisions for entry in layers)


def tensor_text(tensor: LayerTensor) -> str:
    """Return type and format in a few letters, such as "fp16 HWC8"."""
    return f"{tensor.data_type} {tensor.layout}".rstrip()


def _conversion(entry: AuditedLayer, inputs: set[str], outputs: set[str]) -> Conversion:
    layer = entry.layer
    place = "inside"
    if any(tensor.name in inputs for tensor in layer.inputs):
        place = "input"
    elif any(tensor.name in outputs for tensor in layer.outputs):
        place = "output"
    before, after = (tensor_text(side[0]) if side else "" for side in (layer.inputs, layer.outputs))
    return Conversion(layer.name, layer.inputs[0].name if layer.inputs else "", before, after, place, entry.ms)


def _sum_ms(entries: Iterable[AuditedLayer | Conversion]) -> float:
    return sum(entry.ms or 0.0 for entry in entries)


def _neighbours(
    layers: Iterable[EngineLayer],
) -> tuple[defaultdict[str, list[EngineLayer]], defaultdict[str, list[EngineLayer]]]:
    """Return the layers that write, and those that read, each tensor by its name."""
    written: defaultdict[str, list[EngineLayer]] = defaultdict(list)
    read: defaultdict[str, list[EngineLayer]] = defaultdict(list)
    for layer in layers:
        for tensor in layer.outputs:
            written[tensor.name].append(layer)
        for tensor in layer.inputs:
            read[tensor.name].append(layer)
    return written, read
