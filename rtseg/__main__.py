"""`python -m rtseg` is the command line."""

from __future__ import annotations

from rtseg.cli import main

main()
