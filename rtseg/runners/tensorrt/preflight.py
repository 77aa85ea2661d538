"""Check that an engine is for this machine's TensorRT and GPU, before TensorRT reads any of it.

TensorRT refuses most other engines itself, with messages that differ between versions; some it runs anyway.
"""

from __future__ import annotations

import re
from typing import Protocol

from rtseg.artifacts.details import EngineDetails
from rtseg.artifacts.manifest import Manifest
from rtseg.errors import RunnerError
from rtseg.runners.tensorrt.module import PRODUCTS, RTX, TENSORRT

AMPERE = (8, 0)
"""The lowest compute capability that an engine built with ampere_plus runs on."""


class Gpu(Protocol):
    """The facts needed about a GPU; rtseg.runners.cuda.DeviceInfo has them."""

    @property
    def name(self) -> str:
        """Such as "NVIDIA H200"."""

    @property
    def compute_capability(self) -> tuple[int, int]:
        """Such as (9, 0)."""


def require_runnable(manifest: Manifest, release: str, device: Gpu) -> tuple[str, ...]:
    """Return notes on what is unusual about an engine that TensorRT `release` can run on the device.

    An engine runs with exactly one version of TensorRT, and on one compute capability unless it was built with
    hardware_compatibility. One of TensorRT for RTX also runs with one release only, on the compute capabilities it was
    compiled for; a portable one also on every later one. Raises RunnerError for any other engine, with the command that
    makes one for this machine.
    """
    if runtime_of(manifest) == RTX:
        return _require_rtx(manifest, release, device)
    again = f"run rtseg build ONNX --precision {manifest.precision} on this machine"
    _require_release(manifest, release, again)
    return _require_capability(manifest, device, again)


def runtime_of(manifest: Manifest) -> str:
    """Return the product of the engine: "tensorrt" or "tensorrt-rtx"."""
    return _built(manifest).runtime or TENSORRT


def require_release_inside(content: bytes, release: str) -> None:
    """Raise RunnerError if the bytes of a TensorRT for RTX engine show that another release built it.

    The release is in the file: major, minor and patch in the bytes 24 to 26.
    """
    got, here = tuple(content[24:27]), _numbers(release)[:3]
    if got != here:
        raise RunnerError(
            "the file was not built by this release of TensorRT for RTX",
            got=f"{'.'.join(map(str, got)) or 'nothing'} in its bytes 24 to 26",
            expected=release,
            hint="run rtseg build again",
        )


def _require_rtx(manifest: Manifest, release: str, device: Gpu) -> tuple[str, ...]:
    major, minor = device.compute_capability
    again = f"run rtseg build ONNX --runtime tensorrt-rtx --precision {manifest.precision}"
    _require_release(manifest, release, again)
    listed, portable = _built(manifest).compute_capabilities, _built(manifest).portable
    known = [_numbers(str(entry)) for entry in listed]
    if not known or any(len(entry) != 2 for entry in known):
        raise RunnerError("the manifest does not say which GPUs the engine is for", got=repr(listed), hint=again)
    if (major, minor) in known:
        return ()
    if portable and (major, minor) > max(known):
        return (
            f"the engine was not compiled for compute capability {major}.{minor}: the driver does that when it loads, "
            "and one built for it may be faster",
        )
    raise RunnerError(
        "the engine is for other GPUs",
        got=f"{device.name} of compute capability {major}.{minor}",
        expected=f"{', '.join('{}.{}'.format(*entry) for entry in known)}{' or newer' if portable else ''}",
        hint=f"{again} --compute-capability {major}.{minor}, if TensorRT for RTX supports it",
    )


def _require_release(manifest: Manifest, release: str, again: str) -> None:
    runtime = runtime_of(manifest)
    built = _built(manifest).release or manifest.tools.get(runtime, "")
    got, here = _numbers(built), _numbers(release)
    if not got:
        raise RunnerError(
            f"the manifest does not say which {PRODUCTS[runtime]} built the engine", got=repr(built), hint=again
        )
    # Some packages leave the build number out of their version.
    count = min(len(got), len(here))
    if got[:count] != here[:count]:
        raise RunnerError(
            f"the engine was built with another version of {PRODUCTS[runtime]}",
            got=f"{built} in its manifest",
            expected=f"{release}, which is installed here",
            hint=again,
        )


def _require_capability(manifest: Manifest, device: Gpu, again: str) -> tuple[str, ...]:
    details = _built(manifest)
    built = ", ".join(details.compute_capabilities)
    got, here = _numbers(built), device.compute_capability
    if len(got) != 2:
        raise RunnerError("the manifest does not say which GPU the engine is for", got=repr(built), hint=again)
    compatible = details.settings.get("hardware_compatibility") == "ampere_plus"
    if got != here and not (compatible and here >= AMPERE):
        expected = "8.0 or newer" if compatible else f"{built}, as the engine"
        raise RunnerError(
            "the engine is for another GPU",
            got=f"{device.name} of compute capability {here[0]}.{here[1]}",
            expected=expected,
            hint=again,
        )
    model = details.gpu
    if model and model != device.name:
        return (f"the engine was built on {model}: on {device.name} other kernels may be faster, rtseg build chooses",)
    return ()


def _built(manifest: Manifest) -> EngineDetails:
    return manifest.details if isinstance(manifest.details, EngineDetails) else EngineDetails()


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: (8, 5, 3, 1) for "8.5.3.1"."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
