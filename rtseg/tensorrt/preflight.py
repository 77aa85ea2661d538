"""Whether an engine is for the TensorRT and the GPU of this machine, asked before TensorRT sees a byte of it.

TensorRT refuses such engines itself, in words that differ from version to version; some it runs all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from rtseg.artifacts import Manifest
from rtseg.errors import RunnerError

AMPERE = (8, 0)
"""The first compute capability that an engine built with ampere_plus runs on."""


class Gpu(Protocol):
    """What has to be known of a GPU; rtseg.cuda.DeviceInfo is one."""

    @property
    def name(self) -> str:
        """Such as "NVIDIA H200"."""

    @property
    def compute_capability(self) -> tuple[int, int]:
        """Such as (9, 0)."""


def require_runnable(manifest: Manifest, release: str, device: Gpu) -> tuple[str, ...]:
    """Return, in words, what is out of the ordinary about an engine that TensorRT `release` can run on the device.

    An engine belongs to one version of TensorRT, to the last number of it, and to one compute capability unless it
    was built with hardware_compatibility. Raises RunnerError for an engine of another, with the command that makes one
    for this machine.
    """
    again = f"rtseg build ONNX --precision {manifest.precision}, on this machine"
    _require_release(manifest, release, again)
    return _require_capability(manifest, device, again)


def _require_release(manifest: Manifest, release: str, again: str) -> None:
    built = str(manifest.details.get("tensorrt") or manifest.tools.get("tensorrt", ""))
    got, here = _numbers(built), _numbers(release)
    if not got:
        raise RunnerError("the manifest does not say which TensorRT built the engine", got=repr(built), hint=again)
    # Some packages leave the build number out of the version they tell.
    count = min(len(got), len(here))
    if got[:count] != here[:count]:
        raise RunnerError(
            "the engine is of another version of TensorRT",
            got=f"{built} in its manifest",
            expected=f"{release}, which is installed here",
            hint=again,
        )


def _require_capability(manifest: Manifest, device: Gpu, again: str) -> tuple[str, ...]:
    built = str(manifest.details.get("compute_capability", ""))
    got, here = _numbers(built), device.compute_capability
    if len(got) != 2:
        raise RunnerError("the manifest does not say which GPU the engine is for", got=repr(built), hint=again)
    profile = manifest.details.get("profile")
    compatible = isinstance(profile, Mapping) and profile.get("hardware_compatibility") == "ampere_plus"
    if got != here and not (compatible and here >= AMPERE):
        expected = "8.0 or newer" if compatible else f"{built}, as the engine"
        raise RunnerError(
            "the engine is for another GPU",
            got=f"{device.name} of compute capability {here[0]}.{here[1]}",
            expected=expected,
            hint=again,
        )
    model = str(manifest.details.get("device", ""))
    if model and model != device.name:
        return (f"the engine was built on {model}: on {device.name} other kernels may be faster, rtseg build chooses",)
    return ()


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (8, 5, 3, 1) of "8.5.3.1"."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
