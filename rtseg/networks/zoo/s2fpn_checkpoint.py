"""The official S2-FPN checkpoints: their names for what rtseg.networks.zoo.s2fpn names otherwise.

The official classes own layers that they never call: down2 to down5 (for deeper ResNets), the
strip attention's conv_res, and a batch normalisation, sometimes a bias, beside convolutions used bare.
"""

from __future__ import annotations

from collections.abc import Collection

from rtseg.errors import CheckpointError
from rtseg.networks.official import Modules, our_names

_VERSION_2 = ("seghead.", ".sa.tr.0.", ".sa.dconv1.", ".sa.augmment_conv.", ".act.weight")
"""Parts of names that only version 2 has; the spelling is the authors'."""


def official_names(names: Collection[str]) -> dict[str, str | None]:
    """Return our name for each, None for those of layers that are never called.

    Names that no official checkpoint has stay as they are. Raises CheckpointError for version 2 of
    October 2023, whose strip attention and upsampling are other modules.
    """
    foreign = next((key for key in names if any(part in key for part in _VERSION_2)), None)
    if foreign is not None:
        raise CheckpointError(
            "these are weights of S2-FPN version 2 (October 2023), which is another network",
            got=foreign,
            expected="version 1, the paper's",
            hint="use a checkpoint that the official README lists under S2FPNv1",
        )
    return our_names(names, _MODULES)


def _conv_bn(official: str, ours: str) -> dict[str, str | None]:
    return {f"{official}.conv": f"{ours}.0", f"{official}.bn": f"{ours}.1"}


def _bare_conv(official: str, ours: str) -> dict[str, str | None]:
    return {f"{official}.conv": ours, f"{official}.bn": None}


def _fusion(official: str, ours: str) -> dict[str, str | None]:
    return {
        **_conv_bn(f"{official}.lateral_low", f"{ours}.lateral"),
        **_conv_bn(f"{official}.FRB.0", f"{ours}.refine.0"),
        **_conv_bn(f"{official}.FRB.1", f"{ours}.refine.1"),
        **_conv_bn(f"{official}.conv_high", f"{ours}.high"),
        **_conv_bn(f"{official}.conv_low", f"{ours}.low"),
        **_conv_bn(f"{official}.apf", f"{ours}.out"),
        **_bare_conv(f"{official}.ca.conv_pool.0", f"{ours}.channel_attention.squeeze"),
        **_bare_conv(f"{official}.ca.conv_pool.2", f"{ours}.channel_attention.excite"),
        **_bare_conv(f"{official}.sa.fuse", f"{ours}.strip_attention.out"),
        f"{official}.sa.gamma": f"{ours}.strip_attention.gamma",
        f"{official}.sa.conv_sh": f"{ours}.strip_attention.shared",
        f"{official}.sa.conv_sh.bias": None,
        f"{official}.sa.conv_res": None,
        f"{official}.sa.bn_sh1": f"{ours}.strip_attention.norm_maximum",
        f"{official}.sa.bn_sh2": f"{ours}.strip_attention.norm_average",
    }


def _head(official: str, ours: str) -> dict[str, str | None]:
    return {**_conv_bn(f"{official}.0", f"{ours}.0"), **_bare_conv(f"{official}.2", f"{ours}.2")}


def _upsampling(official: str, ours: str) -> dict[str, str | None]:
    return {
        **_conv_bn(f"{official}.conv1", f"{ours}.guide"),
        **_bare_conv(f"{official}.conv2.0", f"{ours}.high"),
        **_conv_bn(f"{official}.conv3", f"{ours}.out"),
    }


def _modules() -> dict[str, str | None]:
    """Return every official module with our name. Ours count from the coarsest; so does apf, not gfu."""
    modules: dict[str, str | None] = {
        "conv1_x": "trunk.conv1",
        "bn1": "trunk.bn1",
        **{f"conv{stage + 1}_x": f"trunk.layer{stage}" for stage in (1, 2, 3, 4)},
        **{f"down{stage}": None for stage in (2, 3, 4, 5)},
        **_conv_bn("cfgb.0", "coarse.0"),
        **_conv_bn("fab.0", "adaptation.0"),
        **_bare_conv("classifier.fc", "classifier"),
    }
    for index in range(4):
        modules.update(_fusion(f"apf{index + 1}", f"fusions.{index}"))
        modules.update(_head(f"apf{index + 1}.classifier", f"heads.{index}"))
        modules.update(_upsampling(f"gfu{4 - index}", f"upsamplings.{index}"))
    return modules


_MODULES: Modules = _modules()
