"""The only package that depends on private names of libraries.

The docstring of each module answers four questions, in this order: *Why* it exists, with what was measured; what is known
*Upstream*; the versions it was *Checked with*; and how to *Remove* it. `tests/patches/test_contracts.py` holds the upstream source
that each module relies on, and fails with that docstring when a new version changes it.
"""
