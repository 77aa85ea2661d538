"""What a quantization prints at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rtseg.artifacts.details import QuantizationDetails
from rtseg.artifacts.manifest import Manifest

WORDS = {"int8": "INT8", "fp16": "FP16", "fp32": "FP32"}


def quantization_text(manifest: Manifest) -> str:
    """Return operators and work in each precision, what stayed in floating point and why, and the drop of mIoU."""
    details = manifest.details_as(QuantizationDetails)
    census = details.census
    total = sum(census["macs"].values()) or 1
    shares = ", ".join(
        f"{words} {_operators(census['operators'][kind])} and {census['macs'][kind] / total:.1%} of the MACs"
        for kind, words in WORDS.items()
        if census["operators"][kind]
    )
    where = f"{manifest.network} {manifest.image.resolution} {manifest.precision} for {details.target}"
    lines = [f"{where}: {shares}"]
    reasons = Counter(census["left"].values())
    if reasons:
        lines.append("left in floating point: " + "; ".join(f"{n} {reason}" for reason, n in reasons.most_common()))
    floating = Counter(census["floating"])
    if census["operators"]["int8"] and floating:
        types = ", ".join(f"{number} {operator}" for operator, number in floating.most_common())
        lines.append(f"also in floating point, without weights: {types}")
    lines += details.notes
    if details.budget is not None:
        lines += _budget_lines(details.budget)
    return "\n".join(lines)


def _budget_lines(budget: Mapping[str, Any]) -> list[str]:
    allowed, predicted, interval = (budget[f"{key}_points"] for key in ("max_drop", "predicted_drop", "interval"))
    words = f"mIoU lost against FP32, in points: {allowed:g} allowed"
    if predicted is not None:
        words += f", {_points(predicted)} predicted from the blocks alone"
    words += f", {_points(budget['measured_drop_points'])} measured"
    if interval is not None:
        words += f" (95 % interval {_points(interval[0])} to {_points(interval[1])})"
    pictures = "1 picture" if budget["pictures"] == 1 else f"{budget['pictures']} pictures"
    lines = [f"{words}, on {pictures} of {budget['data']} {budget['split']} by {budget['runner']}"]
    if interval is None or interval[1] > allowed:
        lines.append("too few pictures to be sure that similar pictures lose no more than that")
    if not budget["kept"]:
        return [*lines, "no block had to stay out of INT8"]
    for entry in budget["kept"]:
        lines.append(
            f"kept out of INT8: {entry['block']}, {entry['macs_share']:.1%} of the MACs, "
            f"which alone loses {_points(entry['drop_points'])} points in INT8"
        )
    return lines


def _operators(count: int) -> str:
    return "1 operator" if count == 1 else f"{count} operators"


def _points(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) else "0.00"
