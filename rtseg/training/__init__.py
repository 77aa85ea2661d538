"""Train a network by a recipe: minimal, seeded, resumable."""
