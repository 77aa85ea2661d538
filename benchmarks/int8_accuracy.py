"""What INT8 costs: points of mIoU that a network loses for each target, and what it loses by NNCF.

    python benchmarks/int8_accuracy.py export/checkpoints/affnet-camvid.safetensors --data camvid:CamVid \
        --table calibration/affnet-camvid-360x480.table.json --nncf

FP32 on ONNX Runtime is what all are held against, on the labelled pictures of the validation split. NNCF (`pip install
nncf`) calibrates with the pictures of the table, and with its defaults.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from nncf_baseline import nncf_labels, nncf_segmenter

import rtseg
from rtseg.accuracy.comparison import Comparison
from rtseg.accuracy.reference_run import ReferenceRun
from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.calibration.image_set import ImageSet
from rtseg.calibration.selection import select_named
from rtseg.calibration.table import CalibrationTable
from rtseg.datasets.registry import open_dataset, open_pictures
from rtseg.exporting.onnx_file import export_onnx
from rtseg.frame.preprocess import resized_image
from rtseg.networks.resolve import resolve_network
from rtseg.runners.loading import load
from rtseg.specs import ImageSpec, Resolution

RUNNERS = {"tensorrt": "openvino", "openvino": "openvino", "onnxruntime": "onnxruntime"}
"""What runs the placement of each target."""


def calibrating_images(data: str, table: CalibrationTable, image: ImageSpec) -> list[np.ndarray]:
    """Return the pictures that the table was made of, uint8, resized as the network takes them."""
    pictures = open_pictures(data, table.split)
    wanted = ImageSet(table.data, table.split, {picture.name: picture.sha256 for picture in table.pictures})
    chosen = select_named(pictures, table.data, wanted, image).chosen
    return [resized_image(pictures[entry.index].image, image) for entry in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--table", type=Path, required=True, help="of rtseg calibrate")
    parser.add_argument("--data", required=True, help="as of rtseg validate")
    parser.add_argument("--resolution", type=Resolution.parse, default=Resolution(360, 480))
    parser.add_argument("--nncf", action="store_true", help="beside what NNCF makes of the network")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    network = resolve_network(None, None, checkpoint=arguments.checkpoint)
    rows: dict[str, dict[str, Any]] = {}

    def told(name: str, comparison: Comparison, share: float | None) -> None:
        low, high = comparison.drop_interval or (float("nan"),) * 2
        int8 = "" if share is None else f", {share:.1%} of the MACs INT8"
        print(f"{name:<24} {comparison.drop:6.2f} points lost ({low:.2f} to {high:.2f}){int8}", flush=True)
        rows[name] = {"int8_share_of_macs": share, **comparison.to_json()}

    with tempfile.TemporaryDirectory() as folder:
        fp32 = Path(folder) / "fp32.onnx"
        export_onnx(network, arguments.resolution, fp32)
        with load(fp32) as reference:
            run = ReferenceRun(reference, open_dataset(arguments.data, "val"))
        for target, runner in RUNNERS.items():
            int8 = rtseg.quantize(fp32, arguments.table, Path(folder) / f"{target}.onnx", target=target)
            with load(int8.artifact, runner=runner) as candidate:
                told(f"{target}, by {runner}", run.compare_with(candidate), int8.census.int8_share)
    if arguments.nncf:
        table = CalibrationTable.read(arguments.table)
        images = calibrating_images(arguments.data, table, network.image_spec(arguments.resolution))
        with nncf_segmenter(network, arguments.resolution, nncf_labels(network, arguments.resolution, images)) as plain:
            told("NNCF, by openvino", run.compare_with(plain), None)
    if arguments.output:
        facts = {
            "command": f"python benchmarks/int8_accuracy.py {arguments.checkpoint.name} --table {arguments.table.name} "
            f"--data {arguments.data.partition(':')[0]}:PATH{' --nncf' if arguments.nncf else ''}",
            "environment": environment(),
            "nncf": metadata.version("nncf") if arguments.nncf else None,
            "checkpoint": arguments.checkpoint.name,
            "resolution": str(arguments.resolution),
            "data": arguments.data.partition(":")[0],
            "table": arguments.table.name,
            "rows": rows,
        }
        write_text_atomically(arguments.output, json.dumps(facts, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
