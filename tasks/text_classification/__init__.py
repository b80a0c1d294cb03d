"""Text classification: sentiment, topics, types of questions."""
