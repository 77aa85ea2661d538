"""Choose the cards for an engine's lower bound: the named ones, else those that the engine was built for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.artifacts.manifest import manifest_path
from rtseg.engines.cards import GEFORCE, WORKSTATION, Card, card_named, card_of_gpu, cards
from rtseg.engines.inspector import RTX_SCHEMA, EngineLayers
from rtseg.engines.layers_file import engine_path
from rtseg.errors import EngineError

_OF_RTX = (GEFORCE, WORKSTATION)
"""TensorRT for RTX does not run on other cards."""


def chosen_cards(path: PathLike, engine: EngineLayers, named: Sequence[str] = ()) -> tuple[Card, ...]:
    """Return the named cards; without names, the cards that the engine at path, or beside it, was built for.

    Without names, the result is the GPU that TensorRT built on, or every card with a compute capability of the engine;
    it is empty if neither is known. Raises UnknownNameError for a name that is not in the table, and EngineError for a
    card that the engine was not built for.
    """
    details = _details(path)
    capabilities = engine.capabilities or tuple(map(str, details.get("compute_capabilities") or ()))
    if named:
        return tuple(_for_engine(card_named(name), capabilities, path) for name in dict.fromkeys(named))
    built_on = card_of_gpu(str(details.get("gpu") or ""))
    if built_on is not None:
        return (built_on,)
    families = _OF_RTX if engine.schema == RTX_SCHEMA else None
    return tuple(
        card
        for card in cards()
        if card.compute_capability in capabilities and (families is None or card.family in families)
    )


def _for_engine(card: Card, capabilities: Sequence[str], path: PathLike) -> Card:
    if capabilities and card.compute_capability not in capabilities:
        raise EngineError(
            f"{path} is not for {card.name}",
            got=f"compute capability {card.compute_capability}",
            expected=", ".join(capabilities),
            hint="leave out --card, or build an engine for that compute capability",
        )
    return card


def _details(path: PathLike) -> Mapping[str, Any]:
    """Return the details in the manifest of the engine at path, or beside it; empty if there are none."""
    engine = engine_path(path)
    if engine is None or not manifest_path(engine).is_file():
        return {}
    try:
        details = json.loads(read_utf8(manifest_path(engine))).get("details")
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}  # verdict.requested_precision reports what is wrong with it
    return details if isinstance(details, Mapping) else {}
