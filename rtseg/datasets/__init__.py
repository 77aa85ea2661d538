"""Labelled pictures, read from disk or rendered, one picture at a time."""
