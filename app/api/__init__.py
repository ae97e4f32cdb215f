"""FastAPI: one router a noun. May import core, store, broker, registry, settings; never the model stack."""
