"""Access to the Kubernetes API through its own client."""
