"""Multiply-accumulates of layers by their shapes: exact, or None."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtseg.engines.inspector import EngineLayer, LayerTensor, parse_layers
from rtseg.engines.layer_precision import work_of
from rtseg.engines.layer_work import macs_of

Shapes = list[tuple[int, ...]]


def layer(kind: str, inputs: Shapes, constants: Shapes, output: tuple[int, ...], name: str = "/a/Conv") -> EngineLayer:
    def tensors(role: str, shapes: Shapes) -> tuple[LayerTensor, ...]:
        return tuple(LayerTensor(f"{role}{index}", "fp16", "HWC", shape) for index, shape in enumerate(shapes))

    read, held, written = tensors("x", inputs), tensors("w", constants), tensors("y", [output])
    return EngineLayer(name, kind, "", "", "", "unknown", read, written, (), held)


def macs(entry: EngineLayer) -> int | None:
    return macs_of(entry, work_of(entry))


CONVOLUTION = layer("correlation", [(1, 8, 10, 12)], [(16, 8, 3, 3), (1,), (1, 16, 1, 1)], (1, 16, 5, 6))


def test_each_value_of_a_convolution_takes_a_window_of_all_channels() -> None:
    assert macs(CONVOLUTION) == 16 * 5 * 6 * 8 * 9


def test_a_group_takes_its_own_channels_only() -> None:
    depthwise = layer("correlation", [(1, 12, 8, 8)], [(12, 1, 3, 3), (1, 12, 1, 1)], (1, 12, 8, 8))
    assert macs(depthwise) == 12 * 64 * 9
    grouped = layer("correlation", [(1, 12, 8, 8)], [(6, 4, 3, 3), (1, 6, 1, 1)], (1, 6, 8, 8))
    assert macs(grouped) == 6 * 64 * 4 * 9


def test_one_channel_at_the_end_is_told_from_its_bias() -> None:
    assert macs(layer("correlation", [(1, 32, 4, 4)], [(1, 32, 1, 1), (1, 1, 1, 1)], (1, 1, 4, 4))) == 16 * 32


def test_a_sum_that_is_fused_in_is_not_taken_for_the_input() -> None:
    shapes = [(1, 128, 8, 16), (1, 112, 8, 16)]
    fused = layer("runtime_fusion", shapes, [(128, 112, 3, 3)], (1, 128, 8, 16), "__myl_CorrAdd_myl0_1")
    assert macs(fused) == 128 * 8 * 16 * 112 * 9


@pytest.mark.parametrize("activation", ["Silu", "Elu", "AbsAddLog"])
def test_an_activation_that_is_fused_in_changes_no_count(activation: str) -> None:
    name = f"__myl_Corr{activation}_myl0_1"
    assert (
        macs(layer("runtime_fusion", [(1, 8, 4, 4)], [(16, 8, 1, 1), (1, 16, 1, 1)], (1, 16, 4, 4), name)) == 16**2 * 8
    )


def test_each_value_that_a_transposed_convolution_reads_meets_a_window() -> None:
    assert macs(layer("deconv", [(1, 16, 4, 8)], [(16, 12, 2, 2), (1, 12, 1, 1)], (1, 12, 8, 16))) == 16 * 32 * 12 * 4


@pytest.mark.parametrize(
    ("inputs", "constants", "output", "inner"),
    [
        ([(48, 32)], [(32, 12), (1,), (1,)], (48, 12), 32),
        ([(128, 16, 6)], [(1, 6, 16)], (128, 6, 6), 16),
        ([(1, 256, 512)], [(1, 1152, 256)], (1, 1152, 512), 256),
        ([(2, 3, 64, 8), (2, 3, 8, 64)], [], (2, 3, 64, 64), 8),
        ([(4, 64, 8), (4, 32, 8)], [], (4, 64, 32), 8),
        ([(1, 512, 128)], [(1, 256, 1), (1, 256, 512)], (1, 256, 128), 512),
    ],
    ids=["plain", "constant first", "one batch", "two activations", "transposed", "behind its bias"],
)
def test_each_value_of_a_matrix_product_takes_a_row_times_a_column(
    inputs: Shapes, constants: Shapes, output: tuple[int, ...], inner: int
) -> None:
    values = 1
    for size in output:
        values *= size
    assert macs(layer("gemm", inputs, constants, output, "/a/MatMul")) == values * inner


def test_a_convolution_that_became_a_matrix_product_is_still_counted() -> None:
    assert macs(layer("gemm", [(1, 64, 6, 8)], [(12, 64, 1, 1)], (1, 12, 6, 8))) == 12 * 48 * 64


def test_what_has_no_product_has_none() -> None:
    assert macs(layer("maxpool", [(1, 8, 4, 4)], [], (1, 8, 2, 2))) == 0


@pytest.mark.parametrize(
    "entry",
    [
        replace(CONVOLUTION, constants=None),
        replace(CONVOLUTION, inputs=()),
        replace(CONVOLUTION, outputs=(LayerTensor("y", "fp16", "HWC", (-1, 16, 5, 6)),)),
        layer("correlation", [(1, 8, 4, 4)], [(16, 3, 3, 3)], (1, 16, 4, 4)),
        layer("correlation", [(1, 1, 4, 4)], [(1, 1, 3, 3), (1, 1, 1, 1)], (1, 1, 4, 4)),
        layer("gemm", [(16, 8)], [(9, 12)], (16, 12), "/a/MatMul"),
        layer("kgen", [(1, 8, 4, 4)], [(16, 8, 3, 3)], (1, 16, 8, 8), "__myl_CorrResi_myl0_1"),
        layer("kgen", [(1, 8, 4, 4)], [(8, 8, 3, 3), (8, 8, 1, 1)], (1, 8, 4, 4), "__myl_CorrReluCorr_myl0_1"),
        replace(CONVOLUTION, tactic="sm80_xmma_fprop_winograd_f16f16_f16f32_f32"),
        replace(CONVOLUTION, tactic="sm80_xmma_sparse_conv_f16f16_f16f32_f32"),
    ],
    ids=[
        "no constants",
        "no input",
        "open size",
        "no weight fits",
        "two weights fit",
        "no inner size fits",
        "resized before it is written",
        "two products",
        "winograd",
        "sparse",
    ],
)
def test_what_shapes_do_not_tell_for_certain_is_not_guessed(entry: EngineLayer) -> None:
    assert macs(entry) is None


def told_by_tensorrt(**parts: object) -> EngineLayer:
    sides = {"Inputs": (1, 8, 4, 4), "Outputs": (1, 16, 2, 2)}
    tensors = {
        side: [{"Name": side, "Dimensions": list(shape), "Format/Datatype": "Half"}] for side, shape in sides.items()
    }
    entry = {"Name": "/a/Conv", "LayerType": "CaskConvolution", "ParameterType": "Convolution", **tensors, **parts}
    return parse_layers({"Layers": [entry], "Bindings": []}).layers[0]


def test_tensorrt_tells_window_and_groups_in_place_of_the_weight() -> None:
    assert macs(told_by_tensorrt(Kernel=[3, 3], Groups=1)) == 16 * 4 * 8 * 9
    assert macs(told_by_tensorrt(Kernel=[3, 3], Groups=4)) == 16 * 4 * 2 * 9
    assert macs(told_by_tensorrt(Kernel=[3, 3], Groups=3)) is None
    assert macs(told_by_tensorrt(Kernel=[3, 3])) is None
    assert macs(told_by_tensorrt(Kernel=["3", 3], Groups=1)) is None


def test_a_transposed_convolution_of_tensorrt_is_counted_from_its_input() -> None:
    entry = told_by_tensorrt(LayerType="CaskDeconvolutionV2", ParameterType="Deconvolution", Kernel=[2, 2], Groups=2)
    assert macs(entry) == 8 * 16 * 8 * 4
