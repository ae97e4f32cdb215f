"""The chart in a real cluster (`scripts/kind test`): it installs, answers, scales, survives and goes, and loses nothing on the way."""
