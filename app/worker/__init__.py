"""The Celery worker: a delivery is claimed, run, settled and requeued. Beside it, periodic steps load models and keep leases."""
