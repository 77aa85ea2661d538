"""Write QuantizeLinear and DequantizeLinear, for INT8 and UINT8: opset 17 has no other types."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from rtseg.exporting.opset_lowering.site import FLOAT, Site

TYPES = {int(TensorProto.INT8): np.int8, int(TensorProto.UINT8): np.uint8}
_NEWER = ("block_size", "output_dtype", "precision", "saturate")


def lower_quantizer(site: Site) -> None:
    """Rewrite QuantizeLinear: newer versions may name the output's type, opset 17 takes it from the zero point.

    Raises OnnxError for types other than INT8 and UINT8, and for a scale per block.
    """
    _require_whole_axes(site)
    if site.attribute("precision", 0) not in (0, FLOAT):
        raise site.refused(f"precision {TensorProto.DataType.Name(site.attribute('precision', 0))}")
    wanted, inputs = site.attribute("output_dtype", 0), list(site.node.input)
    if not site.has(2) and wanted:
        if wanted not in TYPES:
            raise site.refused(f"quantized values of {TensorProto.DataType.Name(wanted)}")
        inputs = [*inputs[:2], site.value(np.zeros(site.shape(1), TYPES[wanted]))]
    site.keep(*inputs, without=_NEWER)


def lower_dequantizer(site: Site) -> None:
    """Keep DequantizeLinear: its output has the type of its scale, whether newer versions name it or not.

    Raises OnnxError for another type, and for a scale per block.
    """
    _require_whole_axes(site)
    if site.attribute("output_dtype", 0) not in (0, site.element(1)):
        raise site.refused(f"output_dtype {TensorProto.DataType.Name(site.attribute('output_dtype', 0))}")
    site.keep(without=_NEWER)


def _require_whole_axes(site: Site) -> None:
    if site.attribute("block_size", 0):
        raise site.refused(f"a scale for each {site.attribute('block_size', 0)} values of an axis (block_size)")
