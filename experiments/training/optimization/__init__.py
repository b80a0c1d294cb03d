"""What changes the weights: optimizers, and the schedules of their learning rates."""
