"""Checkpoints of a network's authors: their names become ours, and every key is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from rtseg.networks.spec import NetworkSpec

COUNTER = "num_batches_tracked"
"""Counts training steps; nothing computes with it, and old PyTorch versions did not write it."""


@dataclass(frozen=True)
class KeyReport:
    """What became of the keys of a checkpoint: the same name here, another one, or never called and dropped."""

    taken: tuple[str, ...]
    renamed: Mapping[str, str]
    dropped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "renamed": dict(self.renamed)}


def our_tensors(
    spec: NetworkSpec, own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], KeyReport]:
    """Return the tensors under the names of the network's own state, with the report.

    A file that has all our names is taken as it is; else the authors' names go through the network's
    key map. Raises what the key map raises.
    """
    wanted = {key for key in own if not key.endswith(COUNTER)}
    names: Mapping[str, str | None] = {key: key for key in state}
    if spec.official_names is not None and not wanted <= set(state):
        names = spec.official_names(list(state))
    names = {key: None if key.endswith(COUNTER) else ours for key, ours in names.items()}
    report = KeyReport(
        taken=tuple(key for key, ours in names.items() if ours == key),
        renamed={key: ours for key, ours in names.items() if ours not in (None, key)},
        dropped=tuple(key for key, ours in names.items() if ours is None),
    )
    return {ours: state[key] for key, ours in names.items() if ours is not None}, report
