"""From a trained checkpoint to INT8, its accuracy beside FP32, an engine, and a benchmark.

python examples/chain.py export/checkpoints/affnet-streets.safetensors streets
"""

import sys
from pathlib import Path

import rtseg


def chain(checkpoint: Path, data: str, folder: Path, size: str = "360x480", pictures: int = 16) -> float | None:
    """Return the INT8 file's mIoU on the first pictures of data, from 0 to 1; all files are written into folder."""
    fp32 = rtseg.export(None, size, folder / "fp32.onnx", checkpoint=checkpoint).artifact
    table = rtseg.calibrate(fp32, data, folder / "table.json", images=pictures)
    int8 = rtseg.quantize(fp32, table, folder / "int8.onnx", to="int8").artifact
    beside = rtseg.validate(int8, data, against=fp32, limit=pictures)
    print(f"mIoU: {beside.miou:.2%} in INT8, {beside.comparison.drop:+.2f} points lost against FP32")
    engine = rtseg.build(int8, folder / "int8.engine", runtime="tensorrt-rtx", capabilities=["8.9"])
    print(f"{engine.artifact.path}: proven {engine.verdict.passed}, for {engine.artifact.manifest.device}")
    for row in rtseg.bench([fp32, int8], seconds=2).rows:
        print(f"{row['precision']} {row['boundary']}: {row['summary']['median_ms']:.1f} ms on {row['device']}")
    return beside.miou


if __name__ == "__main__":
    chain(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "chain"))
