"""What TensorRT for RTX makes of every network: whether it is what was asked for, how many kernels, how many bytes.

    python benchmarks/rtx_verdicts.py --table engines/RTX.md        # all networks
    python benchmarks/rtx_verdicts.py --network affnet unet         # their rows anew; the others stay

It needs `pip install '.[rtx]'`, and no GPU. Every network has random weights. INT8 is calibrated with two rendered
scenes, as the ranges change no kernel and no byte that it moves. Nothing is timed. The table in --table FILE.md,
between its markers, is the second list, `accounts`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import rtseg
from rtseg import __version__
from rtseg.artifacts.files import write_text_atomically
from rtseg.artifacts.manifest import read_manifest, tool_versions
from rtseg.datasets.registry import class_spec
from rtseg.engines.building import build_engine
from rtseg.engines.engine_cache import EngineCache
from rtseg.errors import EngineError, QuantizationError, first_line
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.runners.tensorrt.module import RTX, load_rtx
from rtseg.specs import Resolution

Row = dict[str, Any]

RESULT = Path(__file__).resolve().parent / "results" / "rtx-verdicts.json"
PRECISIONS = ("fp32", "fp16", "int8")
CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
RESOLUTION = Resolution(512, 1024)
LARGE_RESOLUTION, LARGE_CAPABILITY = Resolution(1024, 2048), "8.6"
LISTS = ("verdicts", "accounts")
"""All precisions and compute capabilities at RESOLUTION, and FP16 at the large one."""
SCENES, LARGEST = 2, 1000.0
"""INT8 is calibrated with so many pictures, and no range is larger: what the S2-FPNs' attention multiplies, untrained,
reaches 1e21, and FP16 does not hold such a scale."""

AS_ASKED, BY_THE_COMPILER, NOT_PROVEN = "built as asked", "refused by the compiler", "refused as not proven"
COUNTS = ("kernels", "moving", "bytes", "constant_bytes")
"""What a row has of engines.account, and then engine_bytes; all None where there is no engine."""

BEGIN, END = "<!-- rtx-table -->", "<!-- /rtx-table -->"
_COMPILERS_WORDS = "got from TensorRT: "


def exported(name: str, resolution: Resolution, folder: Path) -> Path:
    """Return the FP32 file of a network with random weights, compared with PyTorch."""
    path = folder / f"{name}.onnx"
    export_onnx(network_with_random_weights(name, class_spec("cityscapes"), seed=0), resolution, path)
    return path


def quantized(path: Path) -> Path:
    """Return the INT8 file of an exported one, placed as TensorRT's kernels want it."""
    artifact = rtseg.Artifact.open(path)
    data = f"streets:{artifact.manifest.image.resolution}"
    calibrated = rtseg.calibrate(artifact, data, images=SCENES, method="minmax")
    found = calibrated.table.ranges.items()
    ranges = {name: replace(entry, threshold=min(entry.threshold, LARGEST)) for name, entry in found}
    within = replace(calibrated, table=replace(calibrated.table, ranges=ranges))
    return rtseg.quantize(artifact, within, path.with_suffix(".int8.onnx")).artifact.path


def row_of(path: Path, precision: str, capability: str) -> Row:
    """Return what comes of building an engine of a file: its row."""
    row: Row = {"network": read_manifest(path, kind="onnx").network, "precision": precision}
    row.update(compute_capability=capability, verdict=AS_ASKED, why="")
    row.update(dict.fromkeys((*COUNTS, "engine_bytes")))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        try:
            built = build_engine(
                path,
                Path(folder) / "network.engine",
                precision=precision,
                runtime=RTX,
                capabilities=[capability],
                cache=EngineCache(Path(folder) / "cache"),
                rewrite=False,  # rtx_rewriting.py is about what the passes change
                keep_anyway=True,  # else an engine that nobody could judge would not be told from a proven one
            )
        except (EngineError, QuantizationError) as error:
            told, _, words = str(error).partition(". Try: ")[0].partition(_COMPILERS_WORDS)
            row.update({"verdict": BY_THE_COMPILER, "why": words} if words else {"verdict": NOT_PROVEN, "why": told})
            return row
        if not built.verdict.passed or built.proof.shares is None:
            row.update(verdict=NOT_PROVEN, why=built.verdict.sentence())
            return row
        account = built.proof.shares["account"]
        row.update({count: account[count] for count in COUNTS}, engine_bytes=built.path.stat().st_size)
    return row


def rows_anew(name: str, which: str) -> list[Row]:
    """Return a network's rows of one of the LISTS."""
    with tempfile.TemporaryDirectory() as folder:
        if which == "accounts":
            return [row_of(exported(name, LARGE_RESOLUTION, Path(folder)), "fp16", LARGE_CAPABILITY)]
        plain = exported(name, RESOLUTION, Path(folder))
        files = {"fp32": plain, "fp16": plain, "int8": quantized(plain)}
        return [row_of(files[precision], precision, entry) for precision in PRECISIONS for entry in CAPABILITIES]


def in_a_process(name: str, which: str) -> list[Row]:
    """Return rows_anew by a process of its own: what fails or falls over there takes no other network with it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(rows_anew, name, which).result()


def place_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return where a row stands among others."""
    capability = tuple(map(int, row["compute_capability"].split(".")))
    return row["network"], PRECISIONS.index(row["precision"]), capability


def ledger_text(lists: Mapping[str, Sequence[Row]]) -> str:
    """Return the ledger as JSON, a line for each row."""
    facts: dict[str, Any] = {
        "command": "python benchmarks/rtx_verdicts.py --table engines/RTX.md",
        "environment": {"architecture": platform.machine(), "tools": tool_versions()},
        "tensorrt_rtx": load_rtx("the verdicts").__version__,
        "rtseg": __version__,
        "networks": "random weights of seed 0, the classes of cityscapes, interface logits",
        "int8": f"placed for tensorrt, minmax of {SCENES} rendered scenes, at most {LARGEST:g}: the ranges change no "
        "kernel and no byte that it moves, only the engine's size, by some per cent",
        "bytes": "the traffic of kernels that keep nothing in a cache: rtseg/engines/account.py",
        "resolution": {"verdicts": str(RESOLUTION), "accounts": str(LARGE_RESOLUTION)},
    }
    parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    for which in LISTS:
        lines = ",\n".join(f"  {json.dumps(row)}" for row in sorted(lists[which], key=place_of))
        parts.append(f" {json.dumps(which)}: [\n{lines}\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def table_text(rows: Iterable[Row]) -> str:
    """Return the list "accounts" as a table in Markdown, with its markers."""
    lines = [
        "| network | kernels | of them only moving data | MB moved | engine MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(rows, key=place_of):
        cells = [row["verdict"], "", "", ""]
        if row["verdict"] == AS_ASKED:
            moved, size = row["bytes"] / 1e6, row["engine_bytes"] / 1e6
            cells = [str(row["kernels"]), str(row["moving"]), f"{moved:.0f}", f"{size:.1f}"]
        lines.append(f"| {' | '.join([row['network'], *cells])} |")
    return "\n".join([BEGIN, *lines, END])


def with_table(page: str, rows: Iterable[Row]) -> str:
    """Return a page with the table between its markers. Raises ValueError for a page without them."""
    result, found = re.subn(f"{BEGIN}.*?{END}", lambda _: table_text(rows), page, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"the markers {BEGIN} and {END} are there {found} times")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", choices=network_names(), metavar="NAME", help="only these rows anew")
    parser.add_argument("--table", type=Path, metavar="FILE.md", help="where the table of the accounts is put")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    release = load_rtx("the verdicts").__version__
    before = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
    same = before.get("tensorrt_rtx") == release
    if arguments.network and before and not same:
        parser.error(f"{arguments.output} is of TensorRT for RTX {before.get('tensorrt_rtx')}, and this is {release}")
    known = network_names()
    lists = {which: [row for row in before[which] if row["network"] in known] if same else [] for which in LISTS}
    failed = False
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RTSEG_CACHE"] = cache  # nothing of this is wanted again
        for name in arguments.network or known:
            for which in LISTS:
                lists[which] = [row for row in lists[which] if row["network"] != name]
                try:
                    rows = in_a_process(name, which)
                except Exception as error:  # whatever it is, it is of this network
                    print(f"{name}, {which}: {type(error).__name__}: {first_line(error)}", file=sys.stderr, flush=True)
                    failed, rows = True, []
                for row in rows:
                    print(json.dumps(row), flush=True)
                lists[which] += rows
                write_text_atomically(arguments.output, ledger_text(lists))
    if arguments.table:
        page = arguments.table.read_text(encoding="utf-8")
        write_text_atomically(arguments.table, with_table(page, lists["accounts"]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
