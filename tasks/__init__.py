"""What to learn from: sources of text, their preparation, targets, losses and scores."""
