"""The version of the project, which the build reads from here too."""

__version__ = "0.1.0"
