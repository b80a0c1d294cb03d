"""Classification of texts: sentiment, topics, types of questions."""
