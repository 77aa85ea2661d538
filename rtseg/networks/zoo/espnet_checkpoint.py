"""Key maps for the official checkpoints of ESPNet and ESPNetv2.

ESPNet's checkpoints hold only layers that its code calls. ESPNetv2's also hold an uncalled one: the activation inside
each strided unit, which ends before it.
"""

from __future__ import annotations

from collections.abc import Collection

from rtseg.networks.official import Modules, our_names


def official_names(names: Collection[str]) -> dict[str, str | None]:
    """Return rtseg's name for each name of ESPNet. Names that no official checkpoint has stay unchanged."""
    return our_names(names, _ESPNET)


def official_names_v2(names: Collection[str]) -> dict[str, str | None]:
    """Return rtseg's name for each name of ESPNetv2, None for layers that are never called.

    Names that no official checkpoint has stay as they are.
    """
    return our_names(names, _ESPNETV2)


def _bn_prelu(official: str, ours: str) -> dict[str, str]:
    return {f"{official}.bn": f"{ours}.0", f"{official}.act": f"{ours}.1"}


def _conv_bn_prelu(official: str, ours: str) -> dict[str, str]:
    return {f"{official}.conv": f"{ours}.0", f"{official}.bn": f"{ours}.1", f"{official}.act": f"{ours}.2"}


def _esp(official: str, ours: str) -> dict[str, str]:
    """Map an ESP module; a strided one holds its normalisation directly, the others in a submodule."""
    strided = official.endswith("_0")
    return {
        f"{official}.c1.conv": f"{ours}.reduce",
        **{f"{official}.d{2**index}.conv": f"{ours}.branches.{index}" for index in range(5)},
        **_bn_prelu(official if strided else f"{official}.bn", f"{ours}.out"),
    }


def _espnet() -> dict[str, str]:
    modules = {
        **_conv_bn_prelu("encoder.level1", "stem"),
        **_bn_prelu("encoder.b1", "join1"),
        **_bn_prelu("encoder.b2", "join2"),
        **_bn_prelu("encoder.b3", "join3"),
        "encoder.classifier.conv": "score3.0",
        "br": "score3.1",
        "up_l3.0": "score3.2",
        "level3_C.conv": "score2",
        **_bn_prelu("combine_l2_l3.0", "merge2.0"),
        **_esp("combine_l2_l3.1", "merge2.1"),
        "up_l2.0": "merge2.2",
        **_bn_prelu("up_l2.1", "merge2.3"),
        **_conv_bn_prelu("conv", "merge1"),
        "classifier": "classifier",
    }
    for level, modules_of_level in ((2, 2), (3, 8)):
        modules.update(_esp(f"encoder.level{level}_0", f"down{level}"))
        for index in range(modules_of_level):
            modules.update(_esp(f"encoder.level{level}.{index}", f"stage{level}.{index}"))
    return modules


def _depthwise_pyramid(official: str, ours: str) -> dict[str, str]:
    return {
        **_conv_bn_prelu(f"{official}.proj_1x1", f"{ours}.reduce"),
        **{f"{official}.spp_dw.{index}.conv": f"{ours}.branches.{index}" for index in range(4)},
        **_bn_prelu(f"{official}.br_after_cat", f"{ours}.norm"),
        f"{official}.conv_1x1_exp.conv": f"{ours}.expand.0",
        f"{official}.conv_1x1_exp.bn": f"{ours}.expand.1",
    }


def _eesp(official: str, ours: str) -> dict[str, str]:
    return {**_depthwise_pyramid(official, f"{ours}.pyramid"), f"{official}.module_act": f"{ours}.act"}


def _strided_eesp(official: str, ours: str) -> dict[str, str | None]:
    return {
        **_depthwise_pyramid(f"{official}.eesp", f"{ours}.pyramid"),
        f"{official}.eesp.module_act": None,
        **_conv_bn_prelu(f"{official}.inp_reinf.0", f"{ours}.reinforce.0"),
        f"{official}.inp_reinf.1.conv": f"{ours}.reinforce.1.0",
        f"{official}.inp_reinf.1.bn": f"{ours}.reinforce.1.1",
        f"{official}.act": f"{ours}.act",
    }


def _espnetv2() -> dict[str, str | None]:
    modules: dict[str, str | None] = {
        **_conv_bn_prelu("net.level1", "stem"),
        **_conv_bn_prelu("proj_L4_C", "project4"),
        **_eesp("pspMod.0", "context.0"),
        **{f"pspMod.1.stages.{index}.conv": f"context.1.levels.{index}" for index in range(4)},
        **_conv_bn_prelu("pspMod.1.project", "context.1.merge"),
        "project_l3.1.conv": "score3.1",
        **_bn_prelu("act_l3", "norm3"),
        **_conv_bn_prelu("project_l2", "merge2"),
        "project_l1.1.conv": "classifier.1",
    }
    for level, units in ((2, 0), (3, 3), (4, 7)):
        modules.update(_strided_eesp(f"net.level{level}_0", f"down{level}"))
        for index in range(units):
            modules.update(_eesp(f"net.level{level}.{index}", f"stage{level}.{index}"))
    return modules


_ESPNET: Modules = _espnet()
_ESPNETV2: Modules = _espnetv2()
