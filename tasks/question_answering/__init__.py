"""Extractive question answering: find the words of a passage that answer a question."""
