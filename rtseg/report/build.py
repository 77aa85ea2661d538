"""What is said of an engine that was built: what it computes in, where it came from, what to do with it next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtseg.artifacts import Manifest
from rtseg.tensorrt.module import PRODUCTS, RTX

SMALLEST_TOLD = 50_000
"""Bytes listed twice that are worth a word."""


def shares_text(shares: Mapping[str, Any]) -> str:
    """Return in one line what an engine computes in (Audit.shares): of its products first, then what goes beside."""
    weighted = shares["weighted"]
    total = sum(weighted.values())
    counts = ", ".join(f"{precision.upper()} {number}" for precision, number in weighted.items())
    if shares["operators"] is not None:
        whole = "the graph's convolutions and matrix products"
        return f"{counts or 'none'} of the {total} kernels that compute {whole}, {shares['operators']} in all"
    beside = ", ".join(
        f"{words}: {shares[key] or 'none'}"
        for key, words in (("reformats", "reformat layers"), ("unfused", "Q/DQ that stand alone"))
    )
    return f"{counts or 'none'} of {total} convolutions and matrix products; {beside}"


def built_text(manifest: Manifest, *, from_store: bool) -> str:
    """Return in two lines what was built for what, and how the graph was made fit."""
    facts = manifest.details
    how = "built before, taken from the cache" if from_store else f"built in {facts['build_seconds']:.0f} s"
    product = PRODUCTS[facts["runtime"]]
    release = facts["tensorrt_rtx" if facts["runtime"] == RTX else "tensorrt"]
    return f"{manifest.precision} for {manifest.device}, {product} {release}: {how}\ngraph: {facts['lowering']}"


def account_text(account: Mapping[str, Any]) -> str:
    """Return in one line how many kernels an engine launches and what they move (Account.summary)."""
    repeated = account["repeated_bytes"]
    less = f", {megabytes(repeated)} of it read again by the same kernel" if repeated >= SMALLEST_TOLD else ""
    return (
        f"{account['kernels']} kernels, {account['moving']} of which only move or convert data; "
        f"{megabytes(account['bytes'])} read and written{less}"
    )


def megabytes(size: int) -> str:
    """Return a number of bytes in MB of a million, such as "81.9 MB"."""
    return f"{size / 1e6:.{1 if size < 100e6 else 0}f} MB"


def next_commands(engine: Path, source: Path, manifest: Manifest) -> str:
    """Return the commands that look into an engine, compare it with the file it was built from, and time it.

    Of an INT8 engine of TensorRT for RTX, the last shows it beside the FP16 one: which of them moves less depends on
    the network.
    """
    this, other = shlex.quote(str(engine)), shlex.quote(str(source))
    if manifest.details["runtime"] == RTX:
        if manifest.precision == "int8":
            return (
                "INT8 convolutions write FP32 here, which other kernels quantise again: FP16 may move less data.\n"
                f"next: rtseg build FP32.onnx --runtime tensorrt-rtx --precision fp16 -o FP16.engine\n"
                f"      rtseg audit {this} --against FP16.engine"
            )
        return f"next: rtseg audit {this}"
    data = manifest.output.classes.dataset
    pictures = "streets" if data == "streets" else f"{data or 'DATASET'}:DIR"
    return f"next: rtseg validate {this} --against {other} --data {pictures}\n      rtseg bench {this}"
