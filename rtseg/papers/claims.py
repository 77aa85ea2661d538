"""What the papers state about a network: one claim for each speed or accuracy that their tables print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rtseg.papers.tables import TIMED, PaperTable, Row, paper_tables
from rtseg.specs import Resolution


@dataclass(frozen=True)
class PaperClaim:
    """Speed at one resolution, or accuracy without a speed, as printed; None or "" where the paper states nothing."""

    source: str
    gpu: str
    framework: str
    dataset: str
    height: int | None = None
    width: int | None = None
    latency_ms: float | None = None
    fps: float | None = None
    miou_percent: float | None = None
    note: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {**asdict(self), "options": dict(self.options)}


def claims_of(network: str) -> list[PaperClaim]:
    """Return every claim about the network of that name, including those of other papers' tables; [] if there is none.

    A speed has a resolution only if the paper or its code states it; an assumed resolution gives a claim without a
    size.
    """
    return [
        claim
        for table in paper_tables().values()
        for row in table.rows
        if row.network == network
        for claim in _claims(table, row)
    ]


def at_hand(network: str) -> str:
    """Return from which parts of the network's paper its values were copied, such as "abstract only".

    The result is "" if no paper in rtseg presents the network.
    """
    return next((table.paper.at_hand for table in paper_tables().values() if network in table.paper.networks), "")


def _claims(table: PaperTable, row: Row) -> Iterator[PaperClaim]:
    speeds: dict[Resolution | None, dict[str, float]] = {}
    accuracy = None
    notes: dict[Resolution | None, list[str]] = {}
    for column, cell in zip(table.columns, row.cells):
        if column.metric == "miou" and not column.of:
            accuracy = cell.value
        if column.metric in TIMED and cell.value is not None:
            key = "latency_ms" if column.metric == "latency" else "fps"
            speeds.setdefault(column.resolution, {})[key] = cell.value
            notes.setdefault(column.resolution, []).extend(text for text in (column.note, cell.note) if text)
    if not speeds and accuracy is not None:
        speeds[None] = {}
    for resolution, figures in speeds.items():
        yield PaperClaim(
            source=f"{table.paper.short}, {row.source}",
            gpu=table.gpu,
            framework=table.framework,
            dataset=table.dataset,
            height=resolution.height if resolution else None,
            width=resolution.width if resolution else None,
            miou_percent=accuracy,
            note="; ".join([*notes.get(resolution, []), *([row.note] if row.note else [])]),
            options=row.options,
            **figures,
        )
