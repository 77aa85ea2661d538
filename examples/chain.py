"""From a trained checkpoint to INT8, its accuracy beside FP32, an engine for RTX cards, and a benchmark on this CPU.

Usage: python examples/chain.py export/checkpoints/affnet-streets.safetensors streets
"""

from __future__ import annotations

import sys
from pathlib import Path

import rtseg


def chain(checkpoint: str, data: str, to: Path, size: str = "360x480", count: int = 16, seconds: float = 2) -> float:
    """Write every file into the folder to; return the INT8 file's mIoU on count pictures of data, from 0 to 1."""
    fp32 = rtseg.export(checkpoint, size, to / "fp32.onnx")
    table = rtseg.calibrate(fp32, data, to / "table.json", images=count)
    int8 = rtseg.quantize(fp32, table, to / "int8.onnx")
    beside = rtseg.validate(int8, data, against=fp32, limit=count)
    print(f"mIoU: {beside.miou:.2%} in INT8, {beside.comparison.difference:+.2f} points against FP32")
    engine = rtseg.build(int8, to / "int8.engine", runtime="tensorrt-rtx", capabilities=["8.9"])
    print(f"{engine.artifact.path}: proven {engine.verdict.passed}, for {engine.artifact.manifest.device}")
    for row in rtseg.bench([fp32, int8], runners="openvino", seconds=seconds).rows:
        print(f"{row['precision']}, boundary {row['boundary']}: {row['summary']['median_ms']:.1f} ms, {row['device']}")
    return beside.miou or 0.0


if __name__ == "__main__":
    chain(sys.argv[1], sys.argv[2], Path("chain")) if len(sys.argv) > 2 else sys.exit(__doc__)
