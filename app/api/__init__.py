"""The HTTP API: app, container, routes, schemas, http and server."""
