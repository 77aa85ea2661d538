"""Scripts that measure, and the check that a GPU host runs."""
