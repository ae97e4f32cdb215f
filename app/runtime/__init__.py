"""A model in memory: load, verify, predict, publish. The only room that knows the model stack."""
