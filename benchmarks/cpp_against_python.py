"""A frame in C++ beside the same frame in Python, and how long each takes to its first label: affnet at 360x480.

    cmake -S engines/cpp -B BUILD -DRTSEG_TESTS=ON && cmake --build BUILD
    python benchmarks/cpp_against_python.py BUILD -o benchmarks/results/cpp-against-python-NAME.json

uint8 image in host memory -> uint8 labels in host memory, of the same file behind the same backend on the same picture.
In each round `rtseg-bench` and Python, each in a process of its own, time FP32 and INT8 in turns; who goes first
alternates. The ratio is that of the medians of the rounds' medians, C++ over Python. First label: from the start of a
process that labels one picture to its end, and the load of the model within it. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

import rtseg
from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.datasets.streets.dataset import render_scene
from rtseg.specs import Resolution

ROOT = Path(__file__).resolve().parents[1]
RESOLUTION = Resolution(360, 480)
BACKENDS = ("openvino", "onnxruntime")

PYTHON_FRAMES = """
import json, sys
import cv2
import rtseg
from rtseg.benchmarking.sampling import SamplingRule, measure_interleaved
backend, threads, seconds, picture, *files = sys.argv[1:]
image = cv2.imread(picture)[..., ::-1].copy()
steps = {file: rtseg.load(file, runner=backend, threads=int(threads)).bind(image) for file in files}
for step in steps.values():
    step()
samples = measure_interleaved(steps, SamplingRule.within(float(seconds)))
print(json.dumps([{**one.summary.to_json(), "status": one.status} for one in samples.values()]))
"""
"""The Python half of a round: what rtseg-bench does, with rtseg's own rule."""

PYTHON_FIRST = """
import sys, time
import cv2
import rtseg
backend, threads, picture, file = sys.argv[1:]
loading = time.perf_counter()
segmenter = rtseg.load(file, runner=backend, threads=int(threads))
loaded = time.perf_counter()
labels = segmenter(cv2.imread(picture)[..., ::-1].copy())
print(loaded - loading)
"""
"""A program that labels one picture, and prints how long the model took to load."""

Row = dict[str, Any]


def made_files(backend: str, folder: Path) -> dict[str, Path]:
    """Export affnet with the shipped weights, and quantise it for the backend."""
    files = {"fp32": folder / "fp32.onnx", "int8": folder / f"int8-{backend}.onnx"}
    if not files["fp32"].exists():
        checkpoint = ROOT / "export" / "checkpoints" / "affnet-camvid.safetensors"
        rtseg.export(None, str(RESOLUTION), files["fp32"], checkpoint=checkpoint)
    table = ROOT / "calibration" / "affnet-camvid-360x480.table.json"
    rtseg.quantize(files["fp32"], table, files["int8"], target=backend)
    return files


def output_of(words: Sequence[object]) -> str:
    return subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, text=True).stdout


class Sides:
    """C++ and Python behind one backend, each as processes."""

    def __init__(self, build: Path, backend: str, threads: int, picture: Path) -> None:
        self._programs = build / "bin"
        self._backend, self._threads, self._picture = backend, threads, picture

    def frames(self, side: str, files: Sequence[Path], seconds: float) -> list[Row]:
        """Return the figures of each file's frame, timed by one side."""
        if side == "python":
            words = [sys.executable, "-c", PYTHON_FRAMES, self._backend, self._threads, seconds, self._picture, *files]
            return list(json.loads(output_of(words)))
        words = [self._programs / "rtseg-bench", *files, "--backend", self._backend, "--threads", self._threads]
        document = json.loads(output_of([*words, "--seconds", seconds, "--picture", self._picture, "--json"]))
        rows = [row for row in document["rows"] if row["boundary"] == "frame"]
        assert [row["file"] for row in rows] == [file.name for file in files]
        return [{**row["summary"], "status": row["status"]} for row in rows]

    def first_label(self, side: str, file: Path) -> tuple[float, float]:
        """Return the seconds that a process takes to label one picture, and those in which it loads the model."""
        if side == "python":
            words: list[object] = [sys.executable, "-c", PYTHON_FIRST]
        else:
            words = [self._programs / "first_label"]
        started = time.perf_counter()
        loaded = output_of([*words, self._backend, self._threads, self._picture, file])
        return time.perf_counter() - started, float(loaded)


def order(number: int) -> tuple[str, str]:
    """Return which side goes first in a round: they change places, so that neither has the cooler machine."""
    return ("cpp", "python") if number % 2 == 0 else ("python", "cpp")


def compared(sides: Sides, files: Mapping[str, Path], seconds: float, rounds: int) -> list[Row]:
    """Return a row for each precision: medians of both sides and their ratio."""
    frames: dict[str, list[list[Row]]] = {"cpp": [], "python": []}
    for number in range(rounds):
        for side in order(number):
            frames[side].append(sides.frames(side, list(files.values()), seconds))
    rows = []
    for place, precision in enumerate(files):
        taken = {side: [found[place] for found in frames[side]] for side in frames}
        medians = {side: statistics.median(one["median_ms"] for one in taken[side]) for side in taken}
        rows.append(
            {
                "precision": precision,
                "ratio": medians["cpp"] / medians["python"],
                "ratio_of_each_round": [
                    cpp["median_ms"] / python["median_ms"] for cpp, python in zip(taken["cpp"], taken["python"])
                ],
                "median_ms": medians,
                "rounds": taken,
            }
        )
    return rows


def first_labels(sides: Sides, file: Path, rounds: int) -> Row:
    """Return the seconds to the first label and of loading the model, of both sides. The first try does not count."""
    tries: dict[str, list[tuple[float, float]]] = {"cpp": [], "python": []}
    for number in range(rounds + 1):
        for side in order(number):
            taken = sides.first_label(side, file)
            if number:  # the first reads files from the disk
                tries[side].append(taken)
    return {
        side: {
            "seconds": statistics.median(whole for whole, _ in taken),
            "seconds_of_loading": statistics.median(loading for _, loading in taken),
            "each": taken,
        }
        for side, taken in tries.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="the folder that cmake built engines/cpp in, with its tests")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="budget of each file, side and round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    built = [name for name in BACKENDS if (arguments.build / "lib" / f"librtseg_backend_{name}.so").exists()]
    if not built:
        raise SystemExit(f"{arguments.build} has no backend for CPUs")
    conditions = environment()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        picture = folder / "scene.png"
        cv2.imwrite(str(picture), render_scene(7, 0, RESOLUTION.height, RESOLUTION.width)[0][..., ::-1])
        for backend in built:
            files = made_files(backend, folder)
            sides = Sides(arguments.build, backend, arguments.threads, picture)
            for row in compared(sides, files, arguments.seconds, arguments.rounds):
                first = first_labels(sides, files[row["precision"]], arguments.rounds)
                rows.append({"backend": backend, **row, "first_label": first})
                cpp, python = (first[side]["seconds"] for side in ("cpp", "python"))
                print(
                    f"{backend}, {row['precision']}: frame {row['median_ms']['cpp']:.2f} ms in C++, "
                    f"{row['median_ms']['python']:.2f} ms in Python, ratio {row['ratio']:.3f} "
                    f"({min(row['ratio_of_each_round']):.3f} to {max(row['ratio_of_each_round']):.3f}); "
                    f"first label after {cpp:.2f} s in C++, {python:.2f} s in Python",
                    flush=True,
                )
    if arguments.output:
        result = {
            "command": f"python benchmarks/cpp_against_python.py BUILD --threads {arguments.threads} "
            f"--seconds {arguments.seconds:g} --rounds {arguments.rounds}",
            "environment": conditions,
            "network": "affnet, 11 classes",
            "boundary": "frame",
            "resolution": str(RESOLUTION),
            "threads": arguments.threads,
            "rows": rows,
        }
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
