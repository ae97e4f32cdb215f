"""The chart, rendered by the real helm with every example's values, and held against what it promises."""
