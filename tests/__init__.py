"""Tests read as sentences and use the real parts; a folder a station, as in `app`."""
