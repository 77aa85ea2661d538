"""What became of the keys of an imported checkpoint."""

from __future__ import annotations

from rtseg.networks.official import KeyReport


def key_report_text(source: str, report: KeyReport, *, verbose: bool = False) -> str:
    """Return the counts of the keys taken, renamed and dropped; verbose has a line before them for each key."""
    counts = f"{len(report.taken)} taken, {len(report.renamed)} renamed, {len(report.dropped)} dropped"
    total = len(report.taken) + len(report.renamed) + len(report.dropped)
    summary = f"{source}: {total} keys, {counts}"
    if not verbose:
        return summary
    lines = [f"taken    {key}" for key in report.taken]
    lines += [f"renamed  {key} -> {ours}" for key, ours in report.renamed.items()]
    lines += [f"dropped  {key}" for key in report.dropped]
    return "\n".join([*lines, summary])
