"""The process that serves the API: routing, metrics, documentation and shutdown."""
