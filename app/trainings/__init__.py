"""A training, from a data set to a version behind its gate. Runs in workers; may import the runtime and what lies under it."""
