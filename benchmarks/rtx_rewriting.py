"""What rewriting saves: every network as TensorRT for RTX compiles it, as written, after the graph passes, in its form.

    python benchmarks/rtx_rewriting.py                              # all networks
    python benchmarks/rtx_rewriting.py --network affnet s2fpn18     # their rows anew; the others stay

It needs `pip install '.[rtx]'`, and no GPU. Every network has random weights. Nothing is timed. A row is one graph in
FP16 for compute capability 8.6. Its graph is "as written", the plain export of the network, or "its form", what
`rtseg export --target tensorrt` writes; its costs are those before and after the passes that pay there.

The list "errors" has emulated FP16, every operator rounded, at ERROR_RESOLUTION, with random weights and those of the
shipped checkpoints: the relative distance of the logits from the plain export in FP32, on a smooth or a random picture,
whichever is larger. before is that of the plain export, after that of the graph with the passes of its row at the
smaller resolution. Both are null if the plain export's logits overflow in FP16.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from rtseg import __version__
from rtseg.artifacts.files import write_text_atomically
from rtseg.artifacts.manifest import tool_versions
from rtseg.datasets.registry import class_spec
from rtseg.engines.rewriting.choice import Rewriting, repeated
from rtseg.engines.rewriting.passes import PASSES, rtx_rewriter
from rtseg.errors import first_line
from rtseg.exporting.network_form import written_for
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.canonical import read_canonical
from rtseg.networks.prepared import PreparedNetwork, network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.networks.resolve import resolve_network
from rtseg.networks.spec import SegmentationNetwork
from rtseg.quantization.fp16 import to_fp16
from rtseg.quantization.fp16_rounding import every_operator_rounded
from rtseg.runners.onnxruntime import OnnxRuntimeRunner
from rtseg.runners.probes import distance
from rtseg.runners.tensorrt.module import load_rtx
from rtseg.specs import Resolution

Row = dict[str, Any]

RESULT = Path(__file__).resolve().parent / "results" / "rtx-rewriting.json"
CHECKPOINTS = Path(__file__).resolve().parents[1] / "export" / "checkpoints"
RESOLUTIONS = (Resolution(512, 1024), Resolution(1024, 2048))
ERROR_RESOLUTION = Resolution(256, 512)
INTERFACES = ("logits", "labels")
LISTS = ("rows", "errors")
CAPABILITY = (8, 6)
PRECISION = "fp16"
WRITTEN, FORM = "as written", "its form"
TARGET = "tensorrt"


class AsWritten(SegmentationNetwork):
    """A network that is exported as its module is written, in no form of its own."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        self.stride, self.align_corners = network.stride, network.align_corners

    @property
    def multiple(self) -> int:
        """The image's sides are multiples of this."""
        return self.network.multiple

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits."""
        return self.network(images)  # type: ignore[no-any-return]


def graphs_of(network: PreparedNetwork) -> Iterator[tuple[str, PreparedNetwork]]:
    """Give the graphs that a network has rows of: as written, and its form where it has one."""
    yield WRITTEN, replace(network, module=AsWritten(network.module))
    if written_for(network.module, TARGET):
        yield FORM, network


def exported(network: PreparedNetwork, resolution: Resolution, interface: str, folder: Path) -> onnx.ModelProto:
    """Return the FP32 graph of a network, compared with PyTorch."""
    path = folder / "network.onnx"
    export_onnx(network, resolution, path, interface=interface, target=TARGET)
    return read_canonical(path)


def pictures(size: Resolution) -> Iterator[NDArray[np.float32]]:
    """Give a smooth picture and one of noise, both as a normalised one is."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    waves = [np.sin(rows / size.height * a + columns / size.width * b) for a, b in ((7, 3), (2, 9), (5, 5))]
    yield 2 * np.stack(waves)[None].astype(np.float32)
    yield random.standard_normal((1, 3, size.height, size.width)).astype(np.float32)


def fp16_error(model: onnx.ModelProto, reference: onnx.ModelProto, size: Resolution, folder: Path) -> float:
    """Return how far a graph in FP16, every operator rounded, is from a reference in FP32 on the worse picture."""
    paths = folder / "reference.onnx", folder / "half.onnx"
    for path, graph in zip(paths, (reference, every_operator_rounded(to_fp16(model).model))):
        onnx.save(graph, path)
    with OnnxRuntimeRunner(paths[0]) as whole, OnnxRuntimeRunner(paths[1], optimized=False) as half:
        return max(
            distance(whole.infer(picture), half.infer(picture.astype(half.input.dtype)).astype(np.float32))
            for picture in pictures(size)
        )


def row_of(name: str, graph: str, resolution: Resolution, interface: str, made: Rewriting) -> Row:
    """Return the costs of one graph before and after its passes."""
    assert made.before is not None and made.after is not None
    return {
        "network": name,
        "graph": graph,
        "interface": interface,
        "resolution": str(resolution),
        "before": asdict(made.before),
        "after": asdict(made.after),
        "applied": [entry.name for entry in made.applied],
        "dropped": list(made.dropped),
    }


def untrained(name: str) -> PreparedNetwork:
    """Return a network with random weights."""
    return network_with_random_weights(name, class_spec("cityscapes"), seed=0)


def weights_of(name: str) -> Iterator[tuple[str, PreparedNetwork]]:
    """Give a network with random weights, and with those of each of its shipped checkpoints."""
    yield "random", untrained(name)
    for path in sorted(CHECKPOINTS.glob(f"{name}-*.safetensors")):
        yield path.stem, resolve_network(None, None, checkpoint=path)


def costs_anew(name: str) -> list[Row]:
    """Return the rows of a network."""
    rewriter = rtx_rewriter(load_rtx("the ledger"), PRECISION, CAPABILITY)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for graph, network in graphs_of(untrained(name)):
            for resolution in RESOLUTIONS:
                for interface in INTERFACES:
                    model = exported(network, resolution, interface, Path(folder))
                    rows.append(row_of(name, graph, resolution, interface, rewriter(model)))
    return rows


def errors_anew(name: str, rows: Sequence[Row]) -> list[Row]:
    """Return the errors of a network whose rows are given."""
    errors, wanted = [], (name, "logits", str(RESOLUTIONS[0]))
    applied = {
        row["graph"]: row["applied"] for row in rows if (row["network"], row["interface"], row["resolution"]) == wanted
    }
    with tempfile.TemporaryDirectory() as folder:
        for weights, trained in weights_of(name):
            for graph, network in graphs_of(trained):
                model = exported(network, ERROR_RESOLUTION, "logits", Path(folder))
                if graph == WRITTEN:
                    plain = model
                    before = fp16_error(plain, plain, ERROR_RESOLUTION, Path(folder))
                row: Row = {"network": name, "weights": weights, "graph": graph, "before": None, "after": None}
                if math.isfinite(before):
                    after = fp16_error(after_passes(model, applied[graph]), plain, ERROR_RESOLUTION, Path(folder))
                    row.update(before=before, after=after)
                errors.append(row)
    return errors


def after_passes(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return a graph after the passes of these names."""
    applied = [{"name": name, "saved": None} for name in names]
    return repeated(model, PASSES, {"applied": applied, "dropped": [], "before": None, "after": None}).model


def anew(name: str) -> dict[str, list[Row]]:
    """Return all that the ledger has of a network, by list."""
    rows = costs_anew(name)
    return {"rows": rows, "errors": errors_anew(name, rows)}


def in_a_process(name: str) -> dict[str, list[Row]]:
    """Return anew by a process of its own: what fails or falls over there takes no other network with it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(anew, name).result()


def saved_share(row: Mapping[str, Any]) -> float:
    """Return the part of the bytes that the passes save, from 0 to 1."""
    return 1 - row["after"]["bytes"] / row["before"]["bytes"]


def median_saved(rows: Iterable[Mapping[str, Any]], interface: str) -> float:
    """Return the median of the saved shares over the plain exports of that interface, both sizes."""
    return statistics.median(
        saved_share(row) for row in rows if row["graph"] == WRITTEN and row["interface"] == interface
    )


def place_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return where a row stands among others."""
    return row["network"], row["graph"], INTERFACES.index(row["interface"]), int(row["resolution"].split("x")[0])


def place_of_error(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return where an error stands among others."""
    return row["network"], row["weights"] != "random", row["weights"], row["graph"]


def ledger_text(lists: Mapping[str, Sequence[Row]]) -> str:
    """Return the ledger as JSON, a line for each row."""
    facts: dict[str, Any] = {
        "command": "python benchmarks/rtx_rewriting.py",
        "environment": {"architecture": platform.machine(), "tools": tool_versions()},
        "tensorrt_rtx": load_rtx("the ledger").__version__,
        "rtseg": __version__,
        "networks": "random weights of seed 0, the classes of cityscapes",
        "precision": PRECISION,
        "compute_capability": ".".join(map(str, CAPABILITY)),
        "passes": [entry.name for entry in PASSES],
        "bytes": "the traffic of kernels that keep nothing in a cache, a tensor that a kernel lists twice counted once",
        "error_resolution": str(ERROR_RESOLUTION),
    }
    parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    orders = {"rows": place_of, "errors": place_of_error}
    for which, order in orders.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in sorted(lists[which], key=order))
        parts.append(f" {json.dumps(which)}: [\n{lines}\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", choices=network_names(), metavar="NAME", help="only these rows anew")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    before = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
    lists = {which: [row for row in before.get(which, []) if row["network"] in network_names()] for which in LISTS}
    failed = False
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RTSEG_CACHE"] = cache  # nothing of this is wanted again
        for name in arguments.network or network_names():
            try:
                made = in_a_process(name)
            except Exception as error:  # whatever it is, it is of this network
                print(f"{name}: {type(error).__name__}: {first_line(error)}", file=sys.stderr, flush=True)
                failed, made = True, {which: [] for which in LISTS}
            for which in LISTS:
                lists[which] = [row for row in lists[which] if row["network"] != name] + made[which]
            print(f"{name}: {len(made['rows'])} rows", flush=True)
            write_text_atomically(arguments.output, ledger_text(lists))
    for interface in INTERFACES:
        print(f"{interface}: the passes save {median_saved(lists['rows'], interface):.1%} of the bytes in the median")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
