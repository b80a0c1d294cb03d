"""Pretraining: the biLM as a task."""
