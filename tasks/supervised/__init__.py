"""What the supervised tasks (tasks with gold labels or answers) share."""
