"""The model repository on the shared volume: versions, manifests, aliases. Metadata only, never a loaded model."""
