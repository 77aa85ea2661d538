"""What is said of an engine that was built: what it computes in, where it came from, what to do with it next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtseg.artifacts import Manifest


def shares_text(shares: Mapping[str, Any]) -> str:
    """Return in one line what an engine computes in (Audit.shares): of its products first, then what goes beside."""
    weighted = shares["weighted"]
    total = sum(weighted.values())
    counts = ", ".join(f"{precision.upper()} {number}" for precision, number in weighted.items())
    beside = ", ".join(
        f"{words}: {shares[key] or 'none'}"
        for key, words in (("reformats", "reformat layers"), ("unfused", "Q/DQ that stand alone"))
    )
    return f"{counts or 'none'} of {total} convolutions and matrix products; {beside}"


def built_text(manifest: Manifest, *, from_store: bool) -> str:
    """Return in two lines what was built for what, and how the graph was made fit."""
    facts = manifest.details
    how = "built before, taken from the cache" if from_store else f"built in {facts['build_seconds']:.0f} s"
    return (
        f"{manifest.precision} for {manifest.device}, TensorRT {facts['tensorrt']}: {how}\ngraph: {facts['lowering']}"
    )


def next_commands(engine: Path, source: Path, manifest: Manifest) -> str:
    """Return the commands that compare the engine with the file it was built from, and time it."""
    data = manifest.output.classes.dataset
    pictures = "streets" if data == "streets" else f"{data or 'DATASET'}:DIR"
    this, other = shlex.quote(str(engine)), shlex.quote(str(source))
    return f"next: rtseg validate {this} --against {other} --data {pictures}\n      rtseg bench {this}"
