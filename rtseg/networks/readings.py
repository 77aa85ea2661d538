"""Find a network's tensors in a file whose names have additions from training programs.

A file may keep the weights in an entry ("state_dict", "model", "ema"), and every name after a prefix: "module." of
DataParallel, "_orig_mod." of torch.compile, "model." of Lightning, and these nested. A reading is one way to remove
them. The network's own names decide which reading is right; if two fit, the user must choose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor

WRAPPERS = frozenset({"module", "_orig_mod", "model", "net", "network", "ema", "ema_model", "model_ema"})
"""Usual names of the attribute that holds a network. Names outside of it may belong to a loss, and are left out."""

COUNTERS = ("num_batches_tracked", "n_averaged", "total_ops", "total_params")
"""Last parts of names of tensors that nothing computes with: training steps, numbers of averages, profilers' counters.
"""

_DEEPEST_ENTRY = 4
_INSIDE = (
    ("_orig_mod",),
    ("module",),
    ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"),
)
"""Wrappers of a part of the network: they occur within the names, alone or together."""

_OF_TRAINING = ("criterion", "loss", "metric", "iou", "accuracy")
"""Beginnings of the names that a training module keeps beside its network."""


@dataclass(frozen=True)
class Reading:
    """Tensors by the network's names, and what was removed to get these names.

    entry is their place in the file ("" at the top), prefix the removed beginning of every name, inside what was
    removed from the middle of names. left_out are names without the prefix.
    """

    state: Mapping[str, Tensor]
    entry: str = ""
    prefix: str = ""
    inside: str = ""
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        pieces = [f"entry {self.entry}"] if self.entry else []
        pieces += [f"prefix {self.prefix} taken off"] if self.prefix else []
        pieces += [f"{self.inside} taken out of the names"] if self.inside else []
        if self.left_out:
            names = "1 name" if len(self.left_out) == 1 else f"{len(self.left_out)} names"
            pieces.append(f"{names} outside left out, such as {self.left_out[0]}")
        return ", ".join(pieces)

    @property
    def name(self) -> str:
        """The text that selects this reading: its entry, its prefix, or both joined by a dot."""
        return ".".join(filter(None, (self.entry, self.prefix.rstrip("."))))


def is_counter(name: str) -> bool:
    """Return whether the tensor of that name is a counter that no computation uses."""
    return name.rpartition(".")[2] in COUNTERS


def entries_of(loaded: Mapping[str, object]) -> dict[str, dict[str, Tensor]]:
    """Return every mapping from names to tensors in a file, by its place: "" is the top, "a.b" is below a."""
    return dict(_entries(loaded, "", _DEEPEST_ENTRY))


def _entries(mapping: Mapping[Any, object], place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    tensors = {key: value for key, value in mapping.items() if isinstance(key, str) and _is_plain(value)}
    if tensors:
        yield place, tensors
    for key, value in mapping.items():
        if depth and isinstance(key, str) and isinstance(value, Mapping) and "optim" not in key:
            yield from _entries(value, f"{place}.{key}" if place else key, depth - 1)


def _is_plain(value: object) -> TypeGuard[Tensor]:
    """Return whether a value is a dense tensor of numbers, which can be copied into a network."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_nested or value.is_quantized or value.is_meta)
    )


def readings(
    tensors: Mapping[str, Tensor], names: Collection[str], entry: str = "", *, any_prefix: bool = False
) -> list[Reading]:
    """Return the possible readings of one entry of a file for a network's names, simplest first.

    names are those of the network. A prefix is removed if every name has it except those of a loss or a metric, if it
    consists of WRAPPERS, and with any_prefix wherever the network's names follow it.
    """
    found = list(_with_prefixes(tensors, names, entry, "", any_prefix))
    for wrappers in _INSIDE:
        outer = {_without(name, wrappers): tensor for name, tensor in tensors.items()}
        if len(outer) == len(tensors) and set(outer) != set(tensors):
            inside = " and ".join(f"{wrapper}." for wrapper in wrappers if any(wrapper in name for name in tensors))
            found += _with_prefixes(outer, names, entry, inside, any_prefix)
    return found


def _with_prefixes(
    tensors: Mapping[str, Tensor], names: Collection[str], entry: str, inside: str, any_prefix: bool
) -> Iterator[Reading]:
    yield Reading(tensors, entry, "", inside)
    for prefix in sorted(_prefixes(tensors, names), key=len):
        state = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        left_out = tuple(name for name in tensors if not name.startswith(prefix) and not is_counter(name))
        if any_prefix or all(map(_is_of_training, left_out)) or set(prefix[:-1].split(".")) <= WRAPPERS:
            yield Reading(state, entry, prefix, inside, left_out)


def _prefixes(tensors: Mapping[str, Tensor], names: Collection[str]) -> set[str]:
    """Return the prefixes before one of the network's names, and prefixes of all names that consist of WRAPPERS."""
    found = set()
    some = next((name for name in names if not is_counter(name)), None)
    if some is not None:
        found = {name[: -len(some)] for name in tensors if name.endswith(f".{some}")}
    prefix = ""
    while len(pieces := {name[len(prefix) :].partition(".")[::2] for name in tensors}) and all(
        first in WRAPPERS and rest for first, rest in pieces
    ):
        firsts = {first for first, _ in pieces}
        if len(firsts) > 1:
            break
        prefix += f"{firsts.pop()}."
        found.add(prefix)
    return found


def _is_of_training(name: str) -> bool:
    """Return whether a name belongs to a loss or a metric beside the network, such as train_loss.weight."""
    return name.partition(".")[0].lower().rpartition("_")[2].startswith(_OF_TRAINING)


def _without(name: str, wrappers: Collection[str]) -> str:
    return ".".join(piece for piece in name.split(".") if piece not in wrappers)
