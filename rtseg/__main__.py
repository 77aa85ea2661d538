"""`python -m rtseg` runs the command line."""

from __future__ import annotations

import sys

try:
    from rtseg.cli import main
except KeyboardInterrupt:
    sys.stderr.write("rtseg: error: interrupted\n")
    sys.exit(130)

if __name__ == "__main__":
    main()
