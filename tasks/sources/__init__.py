"""Data sources, one per file; each is a component of kind `data`."""
