"""The bodies of requests. Each model validates a body and documents it in OpenAPI."""
