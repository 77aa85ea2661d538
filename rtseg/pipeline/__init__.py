"""The pipeline: one function for each stage, which takes artifacts and gives artifacts.

Every function takes an `observer` for progress and notes, and imports what it needs when it is called. A package that
is not installed is a MissingDependencyError that names the extra.
"""
