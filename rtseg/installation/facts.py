"""Everything that `rtseg doctor` reports, as plain values."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict
from typing import Any

from rtseg.artifacts.cache import NO_CACHE_HINT, kept_folder
from rtseg.artifacts.manifest import tool_versions
from rtseg.installation.packages import package_findings
from rtseg.installation.summary import summary_line
from rtseg.installation.walk import walk_the_chain


def installation_facts() -> dict[str, Any]:
    """Return the versions, a finding for each package, a finding for each step of the chain, and a summary line.

    The chain takes seconds: it writes a graph, runs it, and builds, loads and times engines of it, as far as this
    machine can. It leaves no files behind.
    """
    findings = package_findings()
    chain = walk_the_chain(findings)
    return {
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "cache": str(kept_folder() or f"none, nothing is kept: {NO_CACHE_HINT}"),
        "versions": tool_versions(),
        "findings": [asdict(finding) for finding in findings],
        "chain": [asdict(finding) for finding in chain],
        "summary": summary_line(findings, chain),
    }
