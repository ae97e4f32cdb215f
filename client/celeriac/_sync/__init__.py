"""The synchronous client. Generated from `_async` by scripts/client: do not edit."""
