"""Question answering: the words of a passage that answer a question."""
