"""List networks and papers' tables, and check whether data has labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtseg.pipeline.arguments import Size, resolution_of
from rtseg.pipeline.packages import needed_for

DEFAULT_SIZE = "512x1024"


def network_list(names: Sequence[str] = (), *, resolution: Size = DEFAULT_SIZE, classes: int = 19) -> list[Any]:
    """Return the facts about each named network, by default all networks, as plain values.

    Parameters and multiply-accumulates are counted at the resolution, for that number of classes. Raises
    UnknownNameError, SpecError, and MissingDependencyError without PyTorch.
    """
    with needed_for("counting what networks compute", "export"):
        from rtseg.networks.facts import network_facts

    return network_facts(resolution_of(resolution), classes, names)


def paper_table_list() -> list[dict[str, Any]]:
    """Return id, caption, origin and sizes of each paper's table as plain values; speed says whether it can be run."""
    with needed_for("running papers' tables", "export"):
        from rtseg.benchmarking.paper_table import table_list

    return table_list()


def has_labels(data: str) -> bool:
    """Return whether data such as "camvid:DIR" has labels; "images:DIR" has none. Raises UnknownNameError."""
    from rtseg.datasets.registry import is_labelled

    return is_labelled(data)
