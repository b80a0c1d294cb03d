"""A user's package: a biLM of its own kind, for `plugins=[gru_plugin]`."""
