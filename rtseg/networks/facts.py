"""Facts about registered networks as plain data: counted figures beside those printed in papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rtseg.errors import SpecError
from rtseg.networks.complexity import complexity, count_parameters, meta_network
from rtseg.networks.registry import network_names, network_spec
from rtseg.networks.spec import NetworkSpec
from rtseg.papers.claims import at_hand, claims_of
from rtseg.specs import Resolution


def network_facts(resolution: Resolution, classes: int, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return one JSON-able dict for each of those networks, or for all; macs is None if the resolution does not fit.

    Raises UnknownNameError.
    """
    specs = [network_spec(name) for name in names or network_names()]
    return [_facts(spec, resolution, classes) for spec in specs]


def _facts(spec: NetworkSpec, resolution: Resolution, classes: int) -> dict[str, Any]:
    network = meta_network(spec, classes)
    macs: int | None
    try:
        parameters, macs = complexity(network, resolution, spec.name)
    except SpecError:
        parameters, macs = count_parameters(network), None
    return {
        "name": spec.name,
        "title": spec.title,
        "paper": spec.paper,
        "at_hand": at_hand(spec.name),
        "classes": classes,
        "parameters": parameters.trained,
        "deployed_parameters": parameters.deployed,
        "published_parameters": spec.published_parameters,
        "resolution": str(resolution),
        "macs": macs,
        "logits_stride": network.stride,
        "align_corners": network.align_corners,
        "backbone": network.backbone,
        "loss": spec.loss,
        "options": {name: asdict(option) for name, option in spec.options.items()},
        "stated": list(spec.stated),
        "inferred": list(spec.inferred),
        "claims": [claim.to_json() for claim in claims_of(spec.name)],
    }
