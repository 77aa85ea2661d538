"""What became of the keys of an imported checkpoint."""

from __future__ import annotations

from rtseg.artifacts.details import WeightImportDetails
from rtseg.artifacts.manifest import Manifest


def key_report_text(manifest: Manifest, *, verbose: bool = False) -> str:
    """Return how many keys were taken, renamed and dropped; if verbose, after a line for each key."""
    details = manifest.details_as(WeightImportDetails)
    taken, renamed, dropped = (details.keys[name] for name in ("taken", "renamed", "dropped"))
    counts = f"{len(taken)} taken, {len(renamed)} renamed, {len(dropped)} dropped"
    reading = details.keys.get("reading", "")
    summary = f"{details.source}: {len(taken) + len(renamed) + len(dropped)} keys, {counts}"
    summary += f" ({reading})" if reading else ""
    if not verbose:
        return summary
    lines = [f"taken    {key}" for key in taken]
    lines += [f"renamed  {key} -> {ours}" for key, ours in renamed.items()]
    lines += [f"dropped  {key}" for key in dropped]
    lines += [f"left out {key}" for key in details.keys.get("left_out", ())]
    return "\n".join([*lines, summary])
