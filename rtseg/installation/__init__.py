"""What works on this machine, asked of the packages and tried out: `rtseg doctor`."""

from __future__ import annotations

from rtseg.installation.facts import installation_facts
from rtseg.installation.finding import Finding

__all__ = ["Finding", "installation_facts"]
