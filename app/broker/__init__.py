"""Celery's application, the names of queues and tasks, the publisher and dynamic batching. May import core, store, settings, celery, kombu."""
