"""Objects of buckets: reads, writes and streams."""
