"""Vectors without a gradient: embedder, runner, word cache, start states."""
