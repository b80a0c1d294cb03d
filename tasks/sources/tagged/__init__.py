"""Sources of sentences with a tag for each word."""
