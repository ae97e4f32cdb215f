"""The model repository, on a real folder and from real processes."""
