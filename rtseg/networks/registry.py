"""The networks rtseg knows by name."""

from __future__ import annotations

from rtseg.errors import UnknownNameError
from rtseg.networks.affnet import AFFNET
from rtseg.networks.s2fpn import S2FPN18, S2FPN34, S2FPN34M
from rtseg.networks.spec import NetworkSpec

_SPECS: dict[str, NetworkSpec] = {}


def register(spec: NetworkSpec) -> NetworkSpec:
    """Add a network. Raises ValueError for a name that is taken."""
    if spec.name in _SPECS:
        raise ValueError(f"a network named {spec.name!r} is registered already")
    _SPECS[spec.name] = spec
    return spec


for _spec in (
    AFFNET,
    S2FPN18,
    S2FPN34,
    S2FPN34M,
):
    register(_spec)


def network_names() -> list[str]:
    """Return the names of all networks, sorted."""
    return sorted(_SPECS)


def network_spec(name: str) -> NetworkSpec:
    """Return the facts of a network. Raises UnknownNameError, naming the closest one."""
    if name not in _SPECS:
        raise UnknownNameError("network", name, _SPECS)
    return _SPECS[name]
