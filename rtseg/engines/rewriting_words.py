"""The sentence about the graph passes that a build applied (rewriting.choice.Rewriting as plain values)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtseg.engines.proof_words import megabytes

UNTIMED = "nobody has timed them in TensorRT"


def rewriting_text(rewriting: Mapping[str, Any]) -> str:
    """Return one line that names the applied passes and what they save; empty if there were none."""
    names = ", ".join(dict.fromkeys(entry["name"] for entry in rewriting.get("applied", ())))
    if not names:
        return ""
    before, after = rewriting["before"], rewriting["after"]
    if before is None or after is None:
        return f"graph passes: {names}; {UNTIMED}"
    return (
        f"graph passes: {names}; {before['kernels']} kernels become {after['kernels']}, "
        f"{megabytes(before['bytes'])} read and written become {megabytes(after['bytes'])}"
    )
