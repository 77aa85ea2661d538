"""Sentences about an engine's proof: precision of its products, number of its kernels, bytes they move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SMALLEST_TOLD = 50_000
"""Repeated bytes below this size are not mentioned."""


def shares_text(shares: Mapping[str, Any]) -> str:
    """Return one line on an engine's precisions (Audit.shares): its products first, then reformats and lone Q/DQ."""
    weighted = shares["weighted"]
    total = sum(weighted.values())
    counts = ", ".join(f"{precision.upper()} {number}" for precision, number in weighted.items())
    if shares["operators"] is not None:
        whole = "the graph's convolutions and matrix products"
        return (
            f"{counts or 'none'} of the {total} kernels that compute {whole}; these are {shares['operators']} operators"
        )
    beside = ", ".join(
        f"{words}: {shares[key] or 'none'}"
        for key, words in (("reformats", "reformat layers"), ("unfused", "Q/DQ that stand alone"))
    )
    return f"{counts or 'none'} of {total} convolutions and matrix products; {beside}"


def account_text(account: Mapping[str, Any]) -> str:
    """Return one line on the number of an engine's kernels and the bytes that they move (Account.summary)."""
    repeated = account["repeated_bytes"]
    less = f", {megabytes(repeated)} of it read again by the same kernel" if repeated >= SMALLEST_TOLD else ""
    return (
        f"{account['kernels']} kernels, {account['moving']} of which only move or convert data; "
        f"{megabytes(account['bytes'])} read and written{less}"
    )


def megabytes(size: int) -> str:
    """Return a number of bytes in MB of a million, such as "81.9 MB"."""
    return f"{size / 1e6:.{1 if size < 100e6 else 0}f} MB"
