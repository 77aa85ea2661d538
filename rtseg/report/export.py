"""What an export says when it is done."""

from __future__ import annotations

from pathlib import Path

from rtseg.artifacts import Manifest
from rtseg.export.parity import Distance, ParityReport


def export_text(path: Path, manifest: Manifest, report: ParityReport, pictures: str) -> str:
    """Return a few lines: what was written, the worst difference found, and what FP64 was asked."""
    worst = max(report.inputs, key=lambda entry: entry.relative_difference)
    least = min(report.inputs, key=lambda entry: entry.label_agreement)
    size = path.stat().st_size / 1e6
    difference = (
        ""
        if manifest.output.interface == "labels"
        else f"largest difference {worst.relative_difference:.1e} of the largest logit ({worst.input}), "
    )
    unsupported = manifest.details["unsupported_by_tensorrt_8_5"]
    warning = f"\nTensorRT 8.5 does not parse: {', '.join(unsupported)}" if unsupported else ""
    return (
        f"{manifest.network} {manifest.image.resolution} {manifest.output.interface}, weights {manifest.weights}, "
        f"{size:.1f} MB, opset 17, IR 8\n"
        f"{report.candidate} equals {report.reference} on a random input and {pictures}: "
        f"{difference}{least.label_agreement:.4%} equal labels at worst{_told_by_fp64(report)}{warning}"
    )


def _told_by_fp64(report: ParityReport) -> str:
    """Return a line for each input on which FP64 had to say that the difference is rounding's."""
    lines = []
    for entry in report.inputs:
        if entry.fp64 is not None:
            runs = "" if entry.fp64.runs == 1 else f" in {entry.fp64.runs} runs"
            lines.append(
                f"\non {entry.input} rounding decides: from FP64 {report.candidate} has "
                f"{_distance_text(entry.fp64.candidate)}, {report.reference}{runs} {_distance_text(entry.fp64.fp32)}"
            )
    return "".join(lines)


def _distance_text(distance: Distance) -> str:
    logits = f"{distance.outliers:.2%} of the logits off and " if distance.relative_difference else ""
    return f"{logits}{distance.label_disagreement:.4%} other labels"
