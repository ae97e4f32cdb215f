"""What talks to Kubernetes, through its own client. May import core and settings."""
