"""The compute capabilities that the installed TensorRT for RTX compiles for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rtseg.engines.lowering.versions import Capability
from rtseg.engines.platform import RtxPlatform, capability_text
from rtseg.errors import EngineError
from rtseg.runners.tensorrt.module import TensorRtRtx

PORTABLE = ((8, 6), (8, 9), (12, 0), (12, 1))
"""The compute capabilities of an engine if none is named: Ampere's RTX cards, Ada, Blackwell. This is the compiler's
own default; later cards load such an engine too.
"""


def known_capabilities(trt: TensorRtRtx) -> tuple[Capability, ...]:
    """Return the compute capabilities that can be compiled for, in order: (7, 5) to (12, 0), more in newer releases."""
    names = trt.ComputeCapability.__members__
    found = (re.fullmatch(r"SM(\d+)(\d)", str(name)) for name in names)
    return tuple(sorted((int(number[1]), int(number[2])) for number in found if number))


def rtx_platform(trt: TensorRtRtx, wanted: Iterable[str] = ()) -> RtxPlatform:
    """Return the installed release's platform for compute capabilities such as "8.9"; without any, the portable one.

    Raises EngineError for one that the release cannot compile for, and for 7.5 together with others.
    """
    known = known_capabilities(trt)
    release = str(trt.__version__)
    named = {_parsed(text, known, release) for text in wanted}
    if not named:
        return RtxPlatform(release, tuple(entry for entry in PORTABLE if entry in known), portable=True)
    return RtxPlatform(release, tuple(sorted(named)))


def _parsed(text: str, known: tuple[Capability, ...], release: str) -> Capability:
    matched = re.fullmatch(r"(\d+)\.(\d)", text.strip())
    capability = (int(matched[1]), int(matched[2])) if matched else None
    if capability not in known:
        raise EngineError(
            f"TensorRT for RTX {release} compiles for no compute capability {text}",
            expected=f"one of {', '.join(map(capability_text, known))}",
            hint="pass 8.6 for Ampere's RTX cards, 8.9 for Ada, 12.0 for Blackwell; repeat the option for each",
        )
    return capability
