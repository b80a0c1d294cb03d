"""A user's package for `plugins=[example_plugin]`: an encoder, a head, data sources and a task, a file each.

`conf/` beside these files, given by `--config-dir`, has a yaml of the same name for each of them.
"""
