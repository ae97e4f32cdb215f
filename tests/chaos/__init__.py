"""The chaos suite: thousands of jobs with known answers while processes die and connections break. `scripts/chaos` runs it."""
