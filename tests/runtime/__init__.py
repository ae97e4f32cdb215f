"""Models, really fitted, published, loaded and asked."""
