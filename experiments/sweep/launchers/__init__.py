"""Where the jobs of a sweep run: on this machine, or on a cluster."""
