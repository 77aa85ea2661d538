"""What an export says when it is done."""

from __future__ import annotations

from pathlib import Path

from rtseg.artifacts import Manifest
from rtseg.export.parity import ParityReport


def export_text(path: Path, manifest: Manifest, report: ParityReport, pictures: str) -> str:
    """Return a few lines: what was written, and the worst difference found."""
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
        f"{difference}{least.label_agreement:.4%} equal labels at worst{warning}"
    )
