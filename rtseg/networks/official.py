"""Checkpoints of a network's authors: their names become ours, and every key is accounted for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from torch import Tensor

from rtseg.networks.readings import is_counter
from rtseg.networks.spec import NetworkSpec


@dataclass(frozen=True)
class KeyReport:
    """What became of the keys of a checkpoint: the same name here, another one, or never called and dropped.

    reading says what was taken off before the names were compared, left_out are the names outside of it.
    """

    taken: tuple[str, ...]
    renamed: Mapping[str, str]
    dropped: tuple[str, ...]
    reading: str = ""
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "renamed": dict(self.renamed)}


Modules = Mapping[str, Optional[str]]
"""Official modules, or single tensors, with our names; None for those that are never called."""


def our_names(names: Collection[str], modules: Modules) -> dict[str, str | None]:
    """Return our name for each official parameter: that of the longest module known, with what follows it.

    None for a layer that is never called; a name that no module explains stays as it is.
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

    A file that has all our names is taken as it is; else the authors' names go through the network's
    key map, where it has one. Raises what the key map raises.
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
