"""Encoders: from the characters of words to one vector per word and layer."""
