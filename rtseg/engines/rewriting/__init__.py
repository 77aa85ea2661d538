"""Exact graph passes that rewrite a graph for its compiler, and the choice of those that lower its cost."""
