"""What INT8 gains on a CPU: the whole frame at 1024x2048, every way of running it taking turns in one run.

    python benchmarks/int8_speed.py export/checkpoints/affnet-camvid.safetensors -o benchmarks/results/int8-NAME.json
    python benchmarks/int8_speed.py affnet    # random weights, the 19 classes of Cityscapes
    python benchmarks/int8_speed.py affnet --nncf    # beside what NNCF makes of the network, `pip install nncf`

uint8 image in host memory -> uint8 labels in host memory. FP32 on ONNX Runtime is what the others are held against.
"labels" is a network with normalisation, upsampling and argmax in its graph, the plain way: ours is quantised with the
same rules as the frame, NNCF's is the network as it was trained. Ranges come from rendered scenes: they decide
accuracy, not speed. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from nncf_baseline import nncf_labels, nncf_segmenter

import rtseg
from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.sampling import SamplingRule, measure_interleaved
from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import render_scene
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.networks.resolve import resolve_network
from rtseg.runners.loading import load
from rtseg.specs import Resolution

RESOLUTION = Resolution(1024, 2048)
PICTURES = 4
WAYS = {
    "FP32, onnxruntime": ("fp32", "onnxruntime"),
    "FP32, openvino": ("fp32", "openvino"),
    "INT8 for onnxruntime, onnxruntime": ("int8-onnxruntime", "onnxruntime"),
    "INT8 for tensorrt, openvino": ("int8-tensorrt", "openvino"),
    "INT8 for openvino, openvino": ("int8-openvino", "openvino"),
    "INT8 for openvino, openvino-bf16": ("int8-openvino", "openvino-bf16"),
    "INT8 labels, openvino": ("labels", "openvino"),
    "INT8 labels, openvino-bf16": ("labels", "openvino-bf16"),
}
NNCF_WAYS = {"NNCF labels, openvino": "f32", "NNCF labels, openvino-bf16": "bf16"}
BASELINE = "FP32, onnxruntime"


def made_files(network: PreparedNetwork, folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """Export, calibrate and quantise; return the files and the share of the MACs that is INT8 in each."""
    files, shares = {"fp32": folder / "fp32.onnx"}, {}
    export_onnx(network, RESOLUTION, files["fp32"])
    labels = folder / "labels-fp32.onnx"
    export_onnx(network, RESOLUTION, labels, interface="labels")
    for source, targets in ((files["fp32"], ("tensorrt", "onnxruntime", "openvino")), (labels, ("openvino",))):
        table = rtseg.calibrate(source, f"streets:{RESOLUTION}", images=PICTURES)
        for target in targets:
            name = "labels" if source == labels else f"int8-{target}"
            files[name] = folder / f"{name}.onnx"
            shares[name] = rtseg.quantize(source, table, files[name], target=target).census.int8_share
    return files, shares


def frames(files: dict[str, Path], image: np.ndarray, threads: int) -> dict[str, Callable[[], None]]:
    """Return every way as a step; all of them are open at once and take turns."""
    steps: dict[str, Callable[[], None]] = {}
    for way, (file, runner) in WAYS.items():
        step = load(files[file], runner=runner, threads=threads).bind(image)
        step()
        steps[way] = step
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="a checkpoint, or the name of a network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of each way")
    parser.add_argument("--nncf", action="store_true", help="beside what NNCF makes of the network")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if arguments.network in network_names():
        network = network_with_random_weights(arguments.network, class_spec("cityscapes"))
    else:
        network = resolve_network(None, None, checkpoint=Path(arguments.network))
    title = f"{Path(arguments.network).stem}, {len(network.classes)} classes"
    conditions = environment()
    image = render_scene(7, 0, RESOLUTION.height, RESOLUTION.width)[0]
    with tempfile.TemporaryDirectory() as folder:
        files, shares = made_files(network, Path(folder))
        steps = frames(files, image, arguments.threads)
        if arguments.nncf:
            scenes = [render_scene(7, number, RESOLUTION.height, RESOLUTION.width)[0] for number in range(PICTURES)]
            model = nncf_labels(network, RESOLUTION, scenes)
            for way, precision in NNCF_WAYS.items():
                plain = nncf_segmenter(network, RESOLUTION, model, precision=precision, threads=arguments.threads)
                steps[way] = plain.bind(image)
        samples = measure_interleaved(steps, SamplingRule.within(arguments.seconds))
    rows: dict[str, Any] = {way: {**entry.summary.to_json(), **entry.to_json()} for way, entry in samples.items()}
    medians = {way: row["median_ms"] for way, row in rows.items()}
    print(f"frame of {title}, at {RESOLUTION}, {arguments.threads} threads")
    for way, row in rows.items():
        share = shares.get(WAYS[way][0]) if way in WAYS else None
        int8 = "" if share is None else f"   {share:.1%} of the MACs INT8"
        print(
            f"  {way:<36} {row['median_ms']:8.2f} ms, n {row['count']}, {row['status']:<8} "
            f"{medians[BASELINE] / row['median_ms']:5.2f} times as fast as FP32{int8}"
        )
    if arguments.output:
        result = {
            "command": f"python benchmarks/int8_speed.py {Path(arguments.network).name} --threads {arguments.threads}"
            + (" --nncf" if arguments.nncf else ""),
            "environment": conditions,
            "nncf": metadata.version("nncf") if arguments.nncf else None,
            "network": title,
            "weights": network.weights,
            "boundary": "frame",
            "resolution": str(RESOLUTION),
            "int8_share_of_macs": shares,
            "times_as_fast_as_fp32": {way: medians[BASELINE] / median for way, median in medians.items()},
            "rows": rows,
        }
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
