"""Speed measurements on this machine, and simulated comparisons."""
