"""Graphs written for the compiler that builds them: exact passes, and which of them pay."""
