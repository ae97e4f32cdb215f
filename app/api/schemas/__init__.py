"""The bodies of requests and responses: FastAPI documents them. Queries are validated by them, and mypy checks the code that builds responses."""
