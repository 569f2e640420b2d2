"""Evidence: metrics with intervals, honest baselines on the same rows, and verdicts that may be "undecided"."""
