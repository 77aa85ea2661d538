"""The two claims about speed, measured in one run: the tail alone, and the whole frame of affnet.

    python benchmarks/cpu_speed.py --threads 2 -o benchmarks/results/cpu-NAME.json

Everything that is compared takes turns (A B A B ...), so whatever disturbs the machine disturbs all.
The results are ratios of medians; the milliseconds are this machine's. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from rtseg.artifacts.files import write_text_atomically
from rtseg.benchmarking.environment import environment
from rtseg.benchmarking.sampling import SamplingRule, measure_interleaved
from rtseg.datasets.registry import class_spec
from rtseg.datasets.streets.dataset import render_scene
from rtseg.exporting.cache import cached_export
from rtseg.frame.native_library import core
from rtseg.frame.tail import labels_from_logits
from rtseg.networks.prepared import network_with_random_weights
from rtseg.runners.loading import load
from rtseg.specs import Resolution

RESOLUTION = Resolution(1024, 2048)
CLASSES = 19
STRIDE = 8


def smooth_logits(blobs: int = 5) -> np.ndarray:
    """Logits as a trained network gives them: regions of one class with borders in between."""
    coarse = torch.randn(1, CLASSES, blobs, 2 * blobs, generator=torch.Generator().manual_seed(0)) * 4
    size = (RESOLUTION.height // STRIDE, RESOLUTION.width // STRIDE)
    fine = F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    return np.ascontiguousarray(fine[0].numpy())


def noise_logits() -> np.ndarray:
    """The worst case: every pixel a class of its own."""
    shape = (CLASSES, RESOLUTION.height // STRIDE, RESOLUTION.width // STRIDE)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def uniform_share(logits: np.ndarray) -> float:
    """The share of cells whose four corners agree."""
    best = logits.argmax(0)
    same = (best[:-1, :-1] == best[1:, :-1]) & (best[:-1, :-1] == best[:-1, 1:]) & (best[:-1, :-1] == best[1:, 1:])
    return float(same.mean())


def torch_labels(logits: torch.Tensor) -> np.ndarray:
    scores = F.interpolate(logits[None], size=(RESOLUTION.height, RESOLUTION.width), mode="bilinear")
    return scores.argmax(1)[0].to(torch.uint8).numpy()


def tail_steps(logits: np.ndarray, threads: int) -> dict[str, Callable[[], Any]]:
    labels = np.empty((RESOLUTION.height, RESOLUTION.width), np.uint8)
    tensor = torch.from_numpy(logits)

    def ours() -> None:
        labels_from_logits(
            logits,
            height=RESOLUTION.height,
            width=RESOLUTION.width,
            align_corners=False,
            threads=threads,
            out=labels,
        )

    def theirs() -> np.ndarray:
        with torch.inference_mode():
            return torch_labels(tensor)

    ours()
    differing = int((labels != theirs()).sum())
    assert differing <= 100, f"{differing} labels differ: the comparison would be of two different things"
    return {"rtseg": ours, "torch": theirs}


def frame_steps(threads: int) -> dict[str, Callable[[], Any]]:
    network = network_with_random_weights("affnet", class_spec("cityscapes"))
    image = render_scene(7, 0, RESOLUTION.height, RESOLUTION.width)[0]
    frame = load(cached_export(network, RESOLUTION, "logits", images=[image]), threads=threads).bind(image)
    module = network.module.eval()
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (network.normalization.mean, network.normalization.std)
    )

    def eager(*, channels_last: bool = False) -> np.ndarray:
        with torch.inference_mode():
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().div(255).sub(mean).div(std)
            if channels_last:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            return torch_labels(module(tensor)[0])

    frame()
    agreement = float((frame.labels == eager()).mean())
    assert agreement > 0.999, f"only {agreement:.2%} of the labels agree"
    return {"rtseg": frame, "torch": eager, "torch channels_last": lambda: eager(channels_last=True)}


def measured(title: str, steps: dict[str, Callable[[], Any]], rule: SamplingRule, baseline: str) -> dict[str, Any]:
    samples = measure_interleaved(steps, rule)
    rows = {name: {**entry.summary.to_json(), **entry.to_json()} for name, entry in samples.items()}
    ours = rows["rtseg"]["median_ms"]
    ratios = {name: row["median_ms"] / ours for name, row in rows.items() if name != "rtseg"}
    print(title)
    for name, row in rows.items():
        factor = "" if name == "rtseg" else f"   {ratios[name]:.1f} times as long"
        print(f"  {name:<20} {row['median_ms']:8.2f} ms, n {row['count']}, {row['status']}{factor}")
    return {"title": title, "baseline": baseline, "ratio": ratios[baseline], "ratios": ratios, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of each step")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if core() is None:
        raise SystemExit("the native core was not built, so there is nothing to measure: see rtseg doctor")
    torch.set_num_threads(arguments.threads)
    rule = SamplingRule.within(arguments.seconds)
    conditions = environment()
    smooth, noise = smooth_logits(), noise_logits()
    comparisons = {
        "tail_smooth": measured(
            f"tail, {CLASSES} classes, 1/{STRIDE} -> {RESOLUTION}, {uniform_share(smooth):.0%} uniform cells",
            tail_steps(smooth, arguments.threads),
            rule,
            "torch",
        ),
        "tail_noise": measured(
            f"tail, the same on noise, {uniform_share(noise):.0%} uniform cells",
            tail_steps(noise, arguments.threads),
            rule,
            "torch",
        ),
        "frame_affnet": measured(
            f"frame of affnet, FP32, {RESOLUTION}, uint8 image -> uint8 labels",
            frame_steps(arguments.threads),
            rule,
            "torch",
        ),
    }
    if arguments.output:
        command = f"python benchmarks/cpu_speed.py --threads {arguments.threads} --seconds {arguments.seconds:g}"
        result = {
            "command": command,
            "threads": arguments.threads,
            "environment": conditions,
            "comparisons": comparisons,
        }
        write_text_atomically(arguments.output, json.dumps(result, indent=1) + "\n")
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
