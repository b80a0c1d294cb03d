"""Where the time of a training step goes: its parts, and traces of all its operators."""
