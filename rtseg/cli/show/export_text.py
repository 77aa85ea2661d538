"""What an export prints at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import ExportDetails
from rtseg.specs import IMAGENET_NORMALIZATION, ImageSpec


def export_text(artifact: Artifact, pictures: str) -> str:
    """Return a few lines: the file, its preprocessing, the largest difference from PyTorch, and checks against FP64."""
    manifest, size = artifact.manifest, artifact.path.stat().st_size / 1e6
    details = manifest.details_as(ExportDetails)
    parity = details.parity
    worst = max(parity["inputs"], key=lambda entry: float(entry["relative_difference"]))
    least = min(float(entry["label_agreement"]) for entry in parity["inputs"])
    difference = (
        ""
        if manifest.output.interface == "labels"
        else f"largest difference {worst['relative_difference']:.1e} of the largest logit ({worst['input']}), "
    )
    unsupported = details.unsupported_by_tensorrt_8_5
    warning = f"\nTensorRT 8.5 does not parse: {', '.join(unsupported)}" if unsupported else ""
    return (
        f"{manifest.network} {manifest.image.resolution} {manifest.output.interface}, weights {manifest.weights}, "
        f"{size:.1f} MB, opset 17, IR 8\n{pixels_text(manifest.image)}\n"
        f"{parity['candidate']} equals {parity['reference']} on a random input and {pictures}: "
        f"{difference}{least:.4%} equal labels at worst{_decided_by_fp64(parity)}{warning}"
    )


def pixels_text(image: ImageSpec) -> str:
    """Return the formula by which a picture becomes the input, with colour order and fit."""
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (image.mean, image.std))
    fitted = "" if image.fit == "stretch" else f", {image.fit} with {image.padding}"
    named = " (ImageNet's)" if image.normalization == IMAGENET_NORMALIZATION else ""
    return f"takes {image.colour_order} pixels as (pixel * {image.scale:.6g} - [{mean}]) / [{std}]{named}{fitted}"


def _decided_by_fp64(parity: Mapping[str, Any]) -> str:
    """Return a line for each input on which FP64 showed that the difference comes from rounding."""
    lines = []
    for entry in parity["inputs"]:
        fp64 = entry["fp64"]
        if fp64 is not None:
            runs = "" if fp64["runs"] == 1 else f" in {fp64['runs']} runs"
            lines.append(
                f"\non {entry['input']} rounding decides: compared with FP64, {parity['candidate']} has "
                f"{_distance_text(fp64['candidate'])}, {parity['reference']}{runs} {_distance_text(fp64['fp32'])}"
            )
    return "".join(lines)


def _distance_text(distance: Mapping[str, Any]) -> str:
    logits = f"{distance['outliers']:.2%} of the logits off and " if distance["relative_difference"] else ""
    return f"{logits}{distance['label_disagreement']:.4%} other labels"
