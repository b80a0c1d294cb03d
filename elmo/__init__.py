"""ELMo in PyTorch: the character-based bidirectional language model of Peters et al. (2018), as a library."""
