"""All registered networks as plain data: counts beside what their papers print."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rtseg.errors import SpecError
from rtseg.networks.complexity import count_macs, count_parameters, meta_network
from rtseg.networks.registry import network_names, network_spec
from rtseg.networks.spec import NetworkSpec
from rtseg.specs import Resolution


def network_facts(resolution: Resolution, classes: int) -> list[dict[str, Any]]:
    """Return one JSON-able dict for each network; macs is None where the resolution does not fit it."""
    return [_facts(network_spec(name), resolution, classes) for name in network_names()]


def _facts(spec: NetworkSpec, resolution: Resolution, classes: int) -> dict[str, Any]:
    network = meta_network(spec, classes)
    parameters = count_parameters(network)
    try:
        macs: int | None = count_macs(network, resolution, spec.name)
    except SpecError:
        macs = None
    return {
        "name": spec.name,
        "title": spec.title,
        "paper": spec.paper,
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
        "options": {name: list(option.choices) for name, option in spec.options.items()},
        "stated": list(spec.stated),
        "inferred": list(spec.inferred),
        "claims": [asdict(claim) for claim in spec.claims],
    }
