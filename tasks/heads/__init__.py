"""Heads: from the vectors of words to what a task asks for."""
