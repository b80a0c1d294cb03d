"""The pictures of a comparison and its HTML report."""

from experiments.compare.figures.choice import write_figures

__all__ = ["write_figures"]
