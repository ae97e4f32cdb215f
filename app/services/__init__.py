"""The use cases. They know no HTTP: they take a store, a broker and settings."""
