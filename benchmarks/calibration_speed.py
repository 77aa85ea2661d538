"""Time and peak memory of `rtseg calibrate` beside ONNX Runtime's percentile calibrator.

    python benchmarks/calibration_speed.py NETWORK.onnx -o benchmarks/results/calibration-NAME.json

Both see the same pictures, prepared by the same code, and count the same tensors; each run is a process of
its own, and the two take turns. ONNX Runtime's calibrator is handed one picture at a time, which is the least
memory it can do with: left to itself it holds the outputs of all pictures at once. A last run of rtseg
alone, on many pictures, shows its peak memory. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import write_text_atomically
from rtseg.artifacts.manifest import read_manifest
from rtseg.benchmarking.environment import environment
from rtseg.datasets.registry import open_dataset
from rtseg.images.files import write_image
from rtseg.runners.onnxruntime_package import without_telemetry

PERCENTILE = 99.99
RTSEG, ONNXRUNTIME = "rtseg", "onnxruntime"
CHILD_OF_ONNXRUNTIME = "--run-onnxruntime"


def calibrate_with_onnxruntime(network: Path, folder: Path, count: int) -> None:
    """What a user writes with ONNX Runtime's own tool; prints how many tensors it counted."""
    without_telemetry()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

    from rtseg.calibration.selection import evenly_spread
    from rtseg.datasets.registry import open_pictures
    from rtseg.frame.preprocess import tensor_from_image
    from rtseg.graphs.view import GraphView

    image = read_manifest(network, kind="onnx").image
    pictures = open_pictures(f"images:{folder}", "")
    model = onnx.load(network)
    name = model.graph.input[0].name
    expected = set(GraphView(model).activations())

    class OnePicture(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, index: int) -> None:
            self.waiting = [{name: tensor_from_image(pictures[index].image, image)[None]}]

        def get_next(self) -> Any:
            return self.waiting.pop() if self.waiting else None

    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        onnx.save(without_constant_nodes(model), plain)
        calibrator = create_calibrator(
            plain,
            None,
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"percentile": PERCENTILE},
        )
        for index in evenly_spread(count, len(pictures)):
            calibrator.collect_data(OnePicture(index))
        found = calibrator.compute_data()
    assert set(found.keys()) == expected, "the two would count different tensors"
    print(json.dumps({"tensors": len(expected), "pictures": count}))


def without_constant_nodes(model: Any) -> Any:
    """The model with its Constant nodes as initializers: ONNX Runtime's calibrator would count them as activations."""
    import onnx
    from onnx import numpy_helper

    from rtseg.graphs.view import GraphView

    view, changed = GraphView(model), onnx.ModelProto()
    changed.CopyFrom(model)
    constants = [node.output[0] for node in model.graph.node if node.op_type == "Constant"]
    changed.graph.initializer.extend(numpy_helper.from_array(view.constant(name), name) for name in constants)
    del changed.graph.node[:]
    changed.graph.node.extend(view.nodes)
    return changed


def measured_child(command: list[str], cache: Path) -> dict[str, Any]:
    """Run a command to its end; return what it printed, its seconds and its peak resident memory."""
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RTSEG_CACHE": str(cache)})
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    facts = json.loads(printed[printed.index("{") :])
    return {
        "seconds": seconds,
        "peak_mib": usage.ru_maxrss / 1024,
        "tensors": facts["tensors"],
        "pictures": facts["pictures"],
    }


def run_of(tool: str, network: Path, folder: Path, count: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        if tool == RTSEG:
            command = ["-m", "rtseg", "calibrate", str(network), "--data", f"images:{folder}", "--images", str(count)]
            command += ["--percentile", str(PERCENTILE), "--threads", str(threads), "--json"]
            command += ["-o", str(Path(scratch) / "table.json")]
        else:
            command = [__file__, str(network), CHILD_OF_ONNXRUNTIME, str(folder), "--pictures", str(count)]
        run = measured_child([sys.executable, *command], Path(scratch))
    print(
        f"{tool:<12} {run['pictures']:>4} pictures, {run['tensors']} tensors: "
        f"{run['seconds']:8.1f} s, peak {run['peak_mib']:7.0f} MiB",
        flush=True,
    )
    return run


def write_scenes(folder: Path, resolution: str, count: int) -> None:
    scenes = open_dataset(f"streets:{resolution}", "train")
    for index in range(count):
        write_image(folder / f"{index:04d}.png", scenes[index].image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="an exported FP32 file of the logits or scores interface")
    parser.add_argument("--pictures", type=int, default=8, help="of the comparison")
    parser.add_argument("--many", type=int, default=100, help="pictures of the memory run; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="of rtseg; ONNX Runtime's session takes all cores")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument(CHILD_OF_ONNXRUNTIME, dest="folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        calibrate_with_onnxruntime(arguments.network, arguments.folder, arguments.pictures)
        return
    conditions = environment()
    manifest = read_manifest(arguments.network, kind="onnx")
    runs: dict[str, list[dict[str, Any]]] = {RTSEG: [], ONNXRUNTIME: []}
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder), str(manifest.image.resolution), max(arguments.pictures, arguments.many))
        for _ in range(arguments.rounds):
            for tool, found in runs.items():
                found.append(run_of(tool, arguments.network, Path(folder), arguments.pictures, arguments.threads))
        many = (
            run_of(RTSEG, arguments.network, Path(folder), arguments.many, arguments.threads)
            if arguments.many
            else None
        )
    seconds = {tool: statistics.median(run["seconds"] for run in found) for tool, found in runs.items()}
    peaks = {tool: max(run["peak_mib"] for run in found) for tool, found in runs.items()}
    ratios = {
        "time": seconds[ONNXRUNTIME] / seconds[RTSEG],
        "peak_memory": peaks[ONNXRUNTIME] / peaks[RTSEG],
    }
    print(f"{ratios['time']:.1f} times faster, {ratios['peak_memory']:.1f} times less memory")
    if arguments.output:
        options = f"--pictures {arguments.pictures} --many {arguments.many} --rounds {arguments.rounds}"
        result = {
            "command": f"python benchmarks/calibration_speed.py {arguments.network.name} {options}",
            "network": manifest.network,
            "resolution": str(manifest.image.resolution),
            "percentile": PERCENTILE,
            "threads": arguments.threads,
            "environment": conditions,
            "ratios": ratios,
            "runs": runs,
            "many": many,
        }
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
