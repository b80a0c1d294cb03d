"""Softmaxes over the vocabulary: what the language model is trained with, and its exact probabilities."""
