"""The Redis server: its URL, its connections, and whether it is fit to keep jobs."""
