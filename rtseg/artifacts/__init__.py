"""Files that rtseg writes: each has a manifest, is written completely or not at all, and can be cached."""
