"""Rendered road scenes with labels: pictures where nobody has any."""
