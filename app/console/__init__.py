"""The console: static files of a web page that uses the public API, and nothing else of it."""
