"""The pipeline: one function for each stage; it takes artifacts and returns artifacts.

Every function takes an `observer` for progress and notes, and imports what it needs when it is called. If a package is
not installed, it raises MissingDependencyError, which names the extra to install.
"""
