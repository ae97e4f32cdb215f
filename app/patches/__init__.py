"""The only package that depends on private names of libraries."""
