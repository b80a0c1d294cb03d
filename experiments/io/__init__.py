"""Run directories, and the files that commands read and write."""
