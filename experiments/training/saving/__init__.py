"""Saves the state of a training, and reads what was saved."""
