"""Dynamic batching: concurrent jobs for the same model version share one delivery."""
