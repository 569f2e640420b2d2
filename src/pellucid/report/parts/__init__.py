"""The parts of a page: evidence, curves, explanations, corrections, change, history. JSON in, markup out."""
