"""Celery's application, the names of queues and tasks, the publisher and the coalescer. May import core, store, settings, celery, kombu."""
