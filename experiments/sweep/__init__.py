"""Runs many jobs of `experiments.train`: a grid of them, side by side, again until each has finished."""
