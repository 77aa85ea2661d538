"""Whether C, C++ and Python label pictures the same: CamVid's val pictures at five sizes, to the last pixel.

    cmake -S engines/cpp -B BUILD -DRTSEG_TESTS=ON && cmake --build BUILD
    python benchmarks/cpp_labels.py BUILD --data camvid:CamVid -o benchmarks/results/cpp-labels.json

affnet and s2fpn18 with their shipped weights, in FP32 and in INT8 placed for TensorRT and for the backend itself, on
each backend for CPUs that the build has. C++ is `rtseg-segment` on folders of PNGs, C is `label_pictures` of the tests.
All three use as many threads, as another number may round otherwise. Nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from PIL import Image

import rtseg
from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.datasets.registry import open_dataset
from rtseg.specs import Resolution

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "cpp-labels.json"
NETWORKS = ("affnet", "s2fpn18")
OWN = Resolution(360, 480)
"""The networks' input, and CamVid's own size."""
SIZES = (OWN, Resolution(301, 517), Resolution(721, 963), Resolution(180, 240), Resolution(401, 203))
BACKENDS = ("openvino", "onnxruntime")

Row = dict[str, Any]
Pixels = np.ndarray


class CProgram:
    """label_pictures with a file open: a picture in, its labels out."""

    def __init__(self, program: Path, file: Path, backend: str, threads: int) -> None:
        words = [program, file, backend, str(threads)]
        self._running = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._running.stdin is not None and self._running.stdout is not None
        self._to, self._from = self._running.stdin, self._running.stdout

    def ask(self, picture: Pixels) -> None:
        """Hand over a picture, uint8 RGB (height, width, 3), and do not wait for its labels."""
        self._to.write(struct.pack("<II", *picture.shape[:2]))
        self._to.write(np.ascontiguousarray(picture))
        self._to.flush()

    def answer(self, shape: tuple[int, ...]) -> Pixels:
        """Return the labels of the picture that was handed over."""
        count = shape[0] * shape[1]
        labels = np.frombuffer(self._from.read(count), np.uint8)
        if len(labels) != count:
            raise SystemExit(f"label_pictures gave up with {self._running.wait()}")
        return labels.reshape(shape[:2])

    def __enter__(self) -> CProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._to.close()
        self._from.close()
        if self._running.wait() and error is None:
            raise SystemExit(f"label_pictures gave up with {self._running.returncode}")


def identical(expected: Sequence[Pixels], found: Sequence[Pixels]) -> int:
    """Return how many label maps are equal in every pixel."""
    return sum(np.array_equal(one, other) for one, other in zip(expected, found))


def write_pictures(data: str, limit: int | None, folder: Path) -> list[str]:
    """Write the val pictures at each size, without loss, into a folder for each. Return their names."""
    dataset = open_dataset(data, "val")
    names = []
    for index in range(len(dataset) if limit is None else min(limit, len(dataset))):
        item = dataset[index]
        names.append(item.name)
        for size in SIZES:
            picture = item.image
            if picture.shape[:2] != (size.height, size.width):
                picture = cv2.resize(picture, (size.width, size.height))
            (folder / str(size)).mkdir(exist_ok=True)
            if not cv2.imwrite(str(folder / str(size) / f"{item.name}.png"), picture[..., ::-1]):
                raise SystemExit(f"no picture {item.name} at {size} could be written")
    return names


def read_picture(path: Path) -> Pixels:
    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB"))


def read_labels(path: Path) -> Pixels:
    with Image.open(path) as stored:
        assert stored.mode == "P", stored.mode
        return np.asarray(stored)


def made_files(network: str, backends: Sequence[str], folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Export and quantise; give precision, what INT8 is placed for, and the file."""
    fp32 = folder / f"{network}.onnx"
    checkpoint = ROOT / "export" / "checkpoints" / f"{network}-camvid.safetensors"
    rtseg.export(None, str(OWN), fp32, checkpoint=checkpoint)
    yield "fp32", "", fp32
    table = ROOT / "calibration" / f"{network}-camvid-{OWN}.table.json"
    for target in ("tensorrt", *backends):
        yield (
            "int8",
            target,
            rtseg.quantize(fp32, table, folder / f"{network}-{target}.onnx", target=target).artifact.path,
        )


def labels_by_cpp(
    program: Path, file: Path, backend: str, threads: int, pictures: Path, names: list[str]
) -> list[Pixels]:
    """Return what rtseg-segment makes of a folder of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        words = [program, file, pictures, "-o", folder, "--backend", backend, "--threads", str(threads)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return [read_labels(Path(folder) / f"{name}_labels.png") for name in names]


def compared(build: Path, file: Path, backend: str, threads: int, pictures: Path, names: list[str]) -> Iterator[Row]:
    """Give for each size how many label maps of C++ and of C are Python's."""
    programs = build / "bin"
    with (
        rtseg.load(file, runner=backend, threads=threads) as segmenter,
        CProgram(programs / "label_pictures", file, backend, threads) as program,
    ):
        for size in SIZES:
            by_python, by_c = [], []
            for name in names:
                picture = read_picture(pictures / str(size) / f"{name}.png")
                program.ask(picture)
                by_python.append(segmenter(picture))
                by_c.append(program.answer(picture.shape))
            by_cpp = labels_by_cpp(programs / "rtseg-segment", file, backend, threads, pictures / str(size), names)
            yield {
                "size": str(size),
                "pictures": len(names),
                "identical_in_cpp": identical(by_python, by_cpp),
                "identical_in_c": identical(by_python, by_c),
            }


def measured(build: Path, data: str, limit: int | None, threads: int) -> Iterator[Row]:
    """Give a row for each network, precision, placement, backend and size."""
    backends = [name for name in BACKENDS if (build / "lib" / f"librtseg_backend_{name}.so").exists()]
    if not backends:
        raise SystemExit(f"{build} has no backend for CPUs")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = write_pictures(data, limit, folder)
        for network in NETWORKS:
            for precision, target, file in made_files(network, backends, folder):
                for backend in backends:
                    if target not in ("", "tensorrt", backend):
                        continue
                    facts = {"network": network, "precision": precision, "placed_for": target, "backend": backend}
                    for row in compared(build, file, backend, threads, folder, names):
                        yield {**facts, **row}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="the folder that cmake built engines/cpp in, with its tests")
    parser.add_argument("--data", required=True, help="as of rtseg validate")
    parser.add_argument("--limit", type=int, help="take the first pictures alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = []
    for row in measured(arguments.build, arguments.data, arguments.limit, arguments.threads):
        rows.append(row)
        same = "C++ {identical_in_cpp}, C {identical_in_c} of {pictures} identical".format(**row)
        placed = f" for {row['placed_for']}" if row["placed_for"] else ""
        print(f"{row['network']:<8} {row['precision']}{placed}, {row['backend']}, {row['size']}: {same}", flush=True)
    if arguments.output:
        shown = f"camvid:PATH --threads {arguments.threads}"
        limited = "" if arguments.limit is None else f" --limit {arguments.limit}"
        result = {
            "command": f"python benchmarks/cpp_labels.py BUILD --data {shown}{limited}",
            "environment": environment(),
            "data": {"name": "camvid", "split": "val"},
            "rows": rows,
        }
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")
    differing = [row for row in rows if {row["identical_in_cpp"], row["identical_in_c"]} != {row["pictures"]}]
    return 1 if differing or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main())
