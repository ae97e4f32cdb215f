"""The image: what is put into it, and how it runs for a strict administrator: another user, a read-only root, no capabilities."""
