"""Tables in files: read in slices, written in parts, joined in order. Never a whole file in memory, never a model. May import core."""
