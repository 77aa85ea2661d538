"""Registry of the networks that rtseg knows by name."""

from __future__ import annotations

from rtseg.errors import UnknownNameError
from rtseg.networks.spec import NetworkSpec
from rtseg.networks.zoo.affnet import AFFNET
from rtseg.networks.zoo.deeplabv3plus import DEEPLABV3PLUS_MOBILENETV2
from rtseg.networks.zoo.enet import ENET
from rtseg.networks.zoo.erfnet import ERFNET
from rtseg.networks.zoo.espnet import ESPNET
from rtseg.networks.zoo.espnetv2 import ESPNETV2
from rtseg.networks.zoo.fast_scnn import FAST_SCNN
from rtseg.networks.zoo.fcn8s import FCN8S
from rtseg.networks.zoo.haff import HAFF
from rtseg.networks.zoo.mlff import MLFF
from rtseg.networks.zoo.pspnet import PSPNET
from rtseg.networks.zoo.s2fpn import S2FPN18, S2FPN34, S2FPN34M
from rtseg.networks.zoo.spssnet import SPSSNET
from rtseg.networks.zoo.unet import UNET

_SPECS: dict[str, NetworkSpec] = {}


def register(spec: NetworkSpec) -> NetworkSpec:
    """Add a network. Raises ValueError if the name is taken."""
    if spec.name in _SPECS:
        raise ValueError(f"a network named {spec.name!r} is registered already")
    _SPECS[spec.name] = spec
    return spec


for _spec in (
    AFFNET,
    DEEPLABV3PLUS_MOBILENETV2,
    ENET,
    ERFNET,
    ESPNET,
    ESPNETV2,
    FAST_SCNN,
    FCN8S,
    HAFF,
    MLFF,
    PSPNET,
    S2FPN18,
    S2FPN34,
    S2FPN34M,
    SPSSNET,
    UNET,
):
    register(_spec)


def network_names() -> list[str]:
    """Return the names of all networks, sorted."""
    return sorted(_SPECS)


def network_spec(name: str) -> NetworkSpec:
    """Return the facts of a network. Raises UnknownNameError with the closest name."""
    if name not in _SPECS:
        raise UnknownNameError("network", name, _SPECS)
    return _SPECS[name]
