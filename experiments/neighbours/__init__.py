"""Nearest neighbours of a word's occurrences in a text, and a map of them."""
