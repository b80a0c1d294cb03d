"""What a run tells: figures, progress, reports."""
