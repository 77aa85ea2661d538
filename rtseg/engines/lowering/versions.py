"""The form of a graph that each version of TensorRT needs."""

from __future__ import annotations

import re

from rtseg.errors import SpecError

TYPED = "typed"
"""Form for TensorRT from 10 on: the graph holds the types of a strongly typed network; no flag names a precision."""

FLAGS = "flags"
"""Form for TensorRT before 10: the canonical file; builder flags name the precision."""

RTX = "rtx"
"""Form for TensorRT for RTX: the graph holds the types, and the kernels depend on the compute capability."""

Capability = tuple[int, int]
"""A compute capability, such as (8, 9)."""

TURING = (7, 5)

FORMS = (TYPED, FLAGS, RTX)
OLDEST = (8, 5)
FIRST_TYPED = 10


def form_for_release(version: str) -> str:
    """Return the form for a TensorRT version such as "8.5.3" or "11.4.0.106".

    Strong typing came with 10.0, which also reads Q/DQ in FP16; 11.0 removed the flags. Raises SpecError for text that
    is not a version, and for a version older than 8.5.
    """
    numbers = re.fullmatch(r"(\d+)\.(\d+)(?:\.\w+)*", version.strip())
    if not numbers:
        raise SpecError("not a version of TensorRT", got=repr(version), expected="numbers such as 10.3.0")
    major, minor = int(numbers[1]), int(numbers[2])
    if (major, minor) < OLDEST:
        raise SpecError("this version of TensorRT is too old for rtseg", got=version, expected="8.5 or newer")
    return TYPED if major >= FIRST_TYPED else FLAGS
