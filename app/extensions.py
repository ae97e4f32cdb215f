"""Deprecated: what model code imports is in the package `celeriac`."""

from __future__ import annotations

import warnings

from celeriac import progress, step

__all__ = ["progress", "step"]

warnings.warn("app.extensions is deprecated. Use `from celeriac import progress, step`.", DeprecationWarning, stacklevel=2)
