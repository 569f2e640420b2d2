"""Renderings of evidence, explanations and diffs: SVG, HTML, Markdown and terminal. Plain JSON in, text out."""
