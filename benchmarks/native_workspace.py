"""What a workspace of the C++ core saves: each end of a frame by the calls that keep nothing, and in a workspace.

    python benchmarks/native_workspace.py --threads 2 -o benchmarks/results/workspace-NAME.json

"core" is a call of the library with its arguments made beforehand, "python" the function of rtseg.frame around it. The
two of a row take turns (A B A B ...), so whatever disturbs the machine disturbs both. The results are ratios of
medians; the milliseconds are this machine's. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.sampling import SamplingRule, measure_interleaved
from rtseg.datasets.streets.dataset import render_scene
from rtseg.frame.native_library import CorePixels, CoreWindow, core, require_done
from rtseg.frame.preprocess import tensor_from_image
from rtseg.frame.tail import labels_from_logits
from rtseg.frame.workspaces import Workspaces
from rtseg.specs import ImageSpec

SIZES = ((360, 480), (1024, 2048))
CLASSES = 19
STRIDE = 8
THRESHOLD = 0.5

Step = Callable[[], Any]
Row = tuple[str, Step, Step, list[np.ndarray]]
"""A title, the end without and with a workspace, and where the two leave their results."""


def smooth_logits(height: int, width: int, blobs: int = 5) -> np.ndarray:
    """Logits as a trained network gives them: regions of one class with borders in between."""
    coarse = np.random.default_rng(0).standard_normal((CLASSES, blobs + 1, 2 * blobs + 1))
    rows, columns = np.linspace(0, blobs - 1e-3, height), np.linspace(0, 2 * blobs - 1e-3, width)
    y, x = rows.astype(int), columns.astype(int)
    down, across = (rows - y)[:, None], columns - x
    wide = coarse[:, :, x] * (1 - across) + coarse[:, :, x + 1] * across
    return np.ascontiguousarray(wide[:, y] * (1 - down) + wide[:, y + 1] * down, np.float32)


def pair_of(*shape: int, dtype: type) -> list[np.ndarray]:
    return [np.zeros(shape, dtype), np.ones(shape, dtype)]


def call_of(library: ctypes.CDLL, name: str, *arguments: object) -> Step:
    """Return a call of the library. Raises RuntimeError if it fails at once."""
    function = getattr(library, name)
    require_done(library, function(*arguments))
    return lambda: function(*arguments)


def tensor_rows(library: ctypes.CDLL, workspaces: Workspaces, workspace: int, size: tuple[int, int]) -> Iterator[Row]:
    """Yield the rows of the first end, for images of the tensor's size and of three quarters of it."""
    spec, threads = ImageSpec(*size), workspaces.threads
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    window = CoreWindow(*size, 0, 0, *size)
    for title, quarters in (("same size", 4), ("resized", 3)):
        height, width = (side * quarters // 4 for side in size)
        image = render_scene(7, 0, height, width)[0]
        pixels = CorePixels(image.ctypes.data, height, width, 3 * width, 3, (0, 1, 2))
        made = pair_of(3, *size, dtype=np.float32)
        to = [(spec.scale, mean.ctypes.data, std.ctypes.data, each.ctypes.data) for each in made]
        given = image.ctypes.data, height, width, 3 * width, 0, window, 0
        alone = call_of(library, "rtseg_letterbox_from_image", *given, *to[0], threads)
        kept = call_of(library, "rtseg_workspace_tensor", workspace, pixels, window, 0, *to[1])
        yield f"core, tensor, {title}", alone, kept, made

        python = partial(tensor_from_image, image, spec, threads=threads)
        alone, kept = partial(python, out=made[0]), partial(python, workspaces=workspaces, out=made[1])
        yield f"python, tensor, {title}", alone, kept, made


def label_rows(library: ctypes.CDLL, workspaces: Workspaces, workspace: int, size: tuple[int, int]) -> Iterator[Row]:
    """Yield the rows of the last end, for logits at the head's stride and at full size."""
    height, width = size
    threads = workspaces.threads
    for stride in (STRIDE, 1):
        logits = smooth_logits(height // stride, width // stride)
        at, h_and_w = logits.ctypes.data, logits.shape[1:]
        made = pair_of(*size, dtype=np.uint8)
        to = [(each.ctypes.data, height, width) for each in made]
        alone = call_of(library, "rtseg_labels_in_window", at, *logits.shape, None, *to[0], 0, threads)
        kept = call_of(library, "rtseg_workspace_labels", workspace, at, *logits.shape, None, *to[1], width, 0)
        yield f"core, labels, logits at 1/{stride}", alone, kept, made

        options = {"height": height, "width": width, "align_corners": False, "threads": threads}
        python = partial(labels_from_logits, logits, **options)
        alone, kept = partial(python, out=made[0]), partial(python, workspaces=workspaces, out=made[1])
        yield f"python, labels, logits at 1/{stride}", alone, kept, made

        alone = call_of(library, "rtseg_mask_from_logits", at, *h_and_w, THRESHOLD, None, *to[0], 0, threads)
        kept = call_of(library, "rtseg_workspace_mask", workspace, at, *h_and_w, THRESHOLD, None, *to[1], width, 0)
        yield f"core, mask, logits at 1/{stride}", alone, kept, made


def measured(title: str, row: Row, rule: SamplingRule) -> dict[str, Any]:
    name, alone, kept, made = row
    alone(), kept()
    if not np.array_equal(*made):
        raise SystemExit(f"{title}, {name}: the two give different results, so there is nothing to compare")
    samples = measure_interleaved({"alone": alone, "workspace": kept}, rule)
    steps = {step: {**entry.summary.to_json(), **entry.to_json()} for step, entry in samples.items()}
    ratio = steps["alone"]["median_ms"] / steps["workspace"]["median_ms"]
    medians = "  ".join(f"{step} {entry['median_ms']:8.3f} ms {entry['status']}" for step, entry in steps.items())
    print(f"{title:<10} {name:<32} {medians}   {ratio:.2f} times as long alone", flush=True)
    return {"size": title, "title": name, "ratio": ratio, "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="budget of each step")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    library = core()
    if library is None:
        raise SystemExit("the native core was not built, so there is nothing to measure: see rtseg doctor")
    rule, conditions = SamplingRule.within(arguments.seconds), environment()
    workspaces = Workspaces(arguments.threads)
    rows = []
    with workspaces.lent(library) as workspace:
        for size in SIZES:
            title = "x".join(map(str, size))
            for kind in (tensor_rows, label_rows):
                rows += [measured(title, row, rule) for row in kind(library, workspaces, workspace, size)]
    if arguments.output:
        command = f"python benchmarks/native_workspace.py --threads {arguments.threads} --seconds {arguments.seconds:g}"
        result = {"command": command, "threads": arguments.threads, "environment": conditions, "rows": rows}
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
