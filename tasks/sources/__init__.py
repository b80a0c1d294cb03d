"""Sources of text, one a file; each is a component of kind `data`."""
