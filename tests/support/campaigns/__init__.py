"""Long campaigns, run by hand: mutated files for every reader, and kills at random times."""
