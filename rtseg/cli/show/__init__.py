"""Results as text and tables. Nothing here measures or computes one."""
