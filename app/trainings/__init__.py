"""Trainings: from a data set to a version and its promotion gate. Runs in workers; may import the runtime and the rooms below it."""
