"""The endpoints. Each parses a request, calls a service and writes the answer."""
