"""The benchmark that `scripts/bench` runs: ours beside other ways to serve the same models, in turn, in one run. May import app and anything."""
