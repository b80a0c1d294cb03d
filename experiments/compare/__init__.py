"""Comparisons of runs: the intervals, tests, tables and pictures that a paper needs."""
