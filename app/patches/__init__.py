"""The only room that touches private names of libraries. Each file says why, what upstream knows, and how to remove it."""
