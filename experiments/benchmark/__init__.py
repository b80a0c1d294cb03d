"""How fast this machine does a part of the work."""
