"""Searches the best values of a training's keys: trials, each a run, that a study of Optuna's asks for."""
