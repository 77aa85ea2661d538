"""What each version of TensorRT wants of a graph."""

from __future__ import annotations

import re

from rtseg.errors import SpecError

TYPED = "typed"
"""The graph holds the types; the network is strongly typed and no builder flag names a precision."""

FLAGS = "flags"
"""The canonical file, its precision named by builder flags."""

RTX = "rtx"
"""TensorRT for RTX: the graph holds the types, and what is compiled depends on the compute capability."""

Capability = tuple[int, int]
"""A compute capability, such as (8, 9)."""

TURING = (7, 5)

FORMS = (TYPED, FLAGS, RTX)
OLDEST = (8, 5)
FIRST_TYPED = 10


def form_for_release(version: str) -> str:
    """Return the lowering of a TensorRT version such as "8.5.3" or "11.4.0.106".

    Strong typing came with 10.0, which reads Q/DQ in FP16 too; 11.0 removed the flags. Raises SpecError for what is no
    version and for one older than 8.5.
    """
    numbers = re.fullmatch(r"(\d+)\.(\d+)(?:\.\w+)*", version.strip())
    if not numbers:
        raise SpecError("not a version of TensorRT", got=repr(version), expected="numbers such as 10.3.0")
    major, minor = int(numbers[1]), int(numbers[2])
    if (major, minor) < OLDEST:
        raise SpecError("a version of TensorRT too old for rtseg", got=version, expected="8.5 or newer")
    return TYPED if major >= FIRST_TYPED else FLAGS
