"""Heads that compute a vector for each word, whose tag it tells."""
