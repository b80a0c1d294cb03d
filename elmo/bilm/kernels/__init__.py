"""The biLM's kernels for a CPU, in C: compiled at run time, with torch's operations as the fall-back."""
