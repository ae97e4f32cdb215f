"""The commands that run or change something on this machine, beside those of `celeriac_cli` that use the API.

One group of commands per file. Slow imports are inside the commands, so `--help` answers at once.
"""
