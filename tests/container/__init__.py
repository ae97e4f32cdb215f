"""The image, built and run by docker as a strict administrator would: another user, a read-only root, no capabilities."""
