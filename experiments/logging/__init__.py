"""Metrics, progress displays and reports of a run."""
