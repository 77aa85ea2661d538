"""What the names of generated kernels tell."""

from __future__ import annotations

import pytest

from rtseg.engines.generated_kernels import convolves, multiplies_matrices, only_moves, operations


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("__myl_MulAddRelu_myl0_10", ("Mul", "Add", "Relu")),
        ("__myl_MulMinMaxRounCast_myl0_12", ("Mul", "Min", "Max", "Roun", "Cast")),
        ("/network/down/Conv_myl0_9", ()),
        ("__mye16831_pooling_myl0_15", ()),
    ],
)
def test_a_generated_kernel_is_called_after_its_operations(name: str, found: tuple[str, ...]) -> None:
    assert operations(name) == found


@pytest.mark.parametrize("name", ["__myl_CorrAdd_myl0_202", "__myl_DecoCast_myl0_3"])
def test_a_convolution_in_a_fused_kernel_is_seen(name: str) -> None:
    assert convolves(name) and not multiplies_matrices(name)


def test_a_matrix_product_in_a_fused_kernel_is_seen() -> None:
    assert multiplies_matrices("__myl_FcAddRelu_myl0_4") and not convolves("__myl_FcAddRelu_myl0_4")


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("__myl_Move_myl0_16", True),
        ("__myl_ReshConc_myl0_101", True),
        ("__myl_CastConc_myl0_0", True),
        ("__myl_MulMinMaxRounCast_myl0_12", True),
        ("__myl_MulMinMaxRounCastSlic_myl0_103", True),
        ("__myl_CastMul_myl0_3", True),
        ("__myl_CastMulMulMinMaxRounCast_myl0_3", True),
        ("__myl_Mul_myl0_1", False),
        ("__myl_MulAddReluMulMinMaxRounCast_myl0_18", False),
        ("__myl_Mean_myl0_2", False),
        ("/network/Conv_myl0_3", False),
    ],
)
def test_a_kernel_that_quantises_or_copies_computes_nothing(name: str, moves: bool) -> None:
    assert only_moves(name) is moves
