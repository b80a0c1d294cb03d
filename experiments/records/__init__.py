"""What the record of a run is good for: repeating the run, and telling how two runs differ."""
