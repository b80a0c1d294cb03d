"""Sources of running text, for pretraining."""
