"""The command `celeriac`: thin commands over `celeriac.Client`, without the server.

One group of commands per file. Slow imports are inside the commands, so `--help` answers at once. A server that is installed
beside it adds its own commands, see `celeriac_cli.__main__`.
"""
