"""The rim: commands, trainer, checkpoints, logging and the config schema."""
