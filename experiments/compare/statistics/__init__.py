"""Statistics of comparisons: functions from arrays of scores to plain results, without knowledge of runs."""
