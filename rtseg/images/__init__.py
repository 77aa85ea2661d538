"""Pictures, label maps and videos on disk."""
