"""Heads for pairs of sentences."""
