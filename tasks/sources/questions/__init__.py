"""Sources of passages with questions and answers."""
