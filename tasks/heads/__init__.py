"""Heads: compute a task's output from the vectors of words."""
