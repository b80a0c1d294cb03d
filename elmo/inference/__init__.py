"""Computing vectors: without a gradient (embedder, runner, word cache, start states), or in a module."""
