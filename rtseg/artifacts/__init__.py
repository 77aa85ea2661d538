"""Files that rtseg writes: each with a manifest, whole or not at all, found again in a cache."""
