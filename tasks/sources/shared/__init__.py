"""What the sources share: files, rows, splits."""
