"""The networks: one module each, with its facts at the end, and shared trunks and blocks."""
