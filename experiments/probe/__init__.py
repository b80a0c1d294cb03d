"""Probes: what the layers of a frozen biLM know of a word's tag and of its sense."""
