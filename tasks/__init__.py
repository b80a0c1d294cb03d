"""The tasks: their data, models, losses, scores and reports."""
