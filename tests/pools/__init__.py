"""What the platform says of its pools: from Redis, and from objects that a real cluster made (`python -m tests.pools.record`)."""
