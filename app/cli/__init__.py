"""The command line: thin commands over the API, and the start of every process.

One group of commands a file. What is slow to import stands inside the commands, so that `--help` answers at once.
"""
