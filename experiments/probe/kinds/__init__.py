"""The probes that can be chosen, each registered as `probe=NAME`."""
