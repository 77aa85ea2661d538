"""`python -m rtseg` is the command line."""

from rtseg.cli import main

main()
