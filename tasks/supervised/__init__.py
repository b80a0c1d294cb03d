"""What the tasks with gold answers share."""
