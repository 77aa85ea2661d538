"""Convert checkpoints of a network's authors: rename their keys to rtseg's, and account for every key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from torch import Tensor

from rtseg.networks.readings import is_counter
from rtseg.networks.spec import NetworkSpec


@dataclass(frozen=True)
class KeyReport:
    """The fate of each key of a checkpoint: kept, renamed, or dropped because its layer is never called.

    reading describes what was removed before the names were compared; left_out are the names outside of it.
    """

    taken: tuple[str, ...]
    renamed: Mapping[str, str]
    dropped: tuple[str, ...]
    reading: str = ""
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return {**asdict(self), "renamed": dict(self.renamed)}


Modules = Mapping[str, Optional[str]]
"""Official modules, or single tensors, mapped to rtseg's names; None for those that are never called."""


def our_names(names: Collection[str], modules: Modules) -> dict[str, str | None]:
    """Return rtseg's name for each official parameter: that of the longest known module, plus the rest of the name.

    None for a layer that is never called; a name of no known module stays unchanged.
    """
    return {name: _our_name(name, modules) for name in names}


def _our_name(name: str, modules: Modules) -> str | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in modules:
            ours = modules[module]
            return None if ours is None else ".".join([ours, *parts[length:]])
    return name


def our_tensors(
    spec: NetworkSpec | None, own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], KeyReport]:
    """Return the tensors under the names of the network's own state, with the report.

    A file with all of rtseg's names is used unchanged; else the authors' names go through the network's key map, if it
    has one. Raises what the key map raises.
    """
    wanted = {key for key in own if not is_counter(key)}
    names: Mapping[str, str | None] = {key: key for key in state}
    if spec is not None and spec.official_names is not None and not wanted <= set(state):
        names = spec.official_names(list(state))
    names = {key: None if is_counter(key) else ours for key, ours in names.items()}
    report = KeyReport(
        taken=tuple(key for key, ours in names.items() if ours == key),
        renamed={key: ours for key, ours in names.items() if ours not in (None, key)},
        dropped=tuple(key for key, ours in names.items() if ours is None),
    )
    return {ours: state[key] for key, ours in names.items() if ours is not None}, report
