"""What became of the keys of an imported checkpoint."""

from __future__ import annotations

from rtseg.networks.official import KeyReport


def key_report_text(source: str, report: KeyReport) -> str:
    """Return one line for each key, then the three counts."""
    lines = [f"taken    {key}" for key in report.taken]
    lines += [f"renamed  {key} -> {ours}" for key, ours in report.renamed.items()]
    lines += [f"dropped  {key}" for key in report.dropped]
    counts = f"{len(report.taken)} taken, {len(report.renamed)} renamed, {len(report.dropped)} dropped"
    return "\n".join([*lines, f"{source}: {len(lines)} keys, {counts}"])
