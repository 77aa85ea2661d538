"""Which block costs accuracy when it becomes INT8, and which to leave alone."""
