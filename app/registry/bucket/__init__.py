"""The model repository in a bucket of an object store, and the folder of this machine that mirrors it."""
