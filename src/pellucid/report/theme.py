"""Colours and type, shared by pages and stand-alone pictures.

Series colours are shades of the colour-blind-safe palette of Okabe & Ito, darkened or lightened so that they stand out
on paper and on night; every mark that a colour tells apart differs in shape, dash or sign as well.
"""

from __future__ import annotations

_LIGHT = {
    "paper": "#fbfaf6",
    "card": "#ffffff",
    "ink": "#20242c",
    "soft": "#5a616d",
    "rule": "#e2dfd6",
    "grid": "#ece9e1",
    "accent": "#0b5c8f",
    "s1": "#0b66a3",
    "s2": "#b8500b",
    "s3": "#0a7a5a",
    "s4": "#9c4a7d",
    "s5": "#8a6a00",
    "s6": "#5a616d",
    "up": "#0b66a3",
    "down": "#b8500b",
    "good": "#0a6e52",
    "bad": "#a83a12",
    "wait": "#7a5c00",
    "tint": "#f3f1ea",
}
_DARK = {
    "paper": "#14171c",
    "card": "#1b1f26",
    "ink": "#e8e6e0",
    "soft": "#a5acb8",
    "rule": "#313742",
    "grid": "#2a2f38",
    "accent": "#7cc0f0",
    "s1": "#6ab7ee",
    "s2": "#f0985a",
    "s3": "#5cc9a3",
    "s4": "#dc9cc4",
    "s5": "#dcbb52",
    "s6": "#a5acb8",
    "up": "#6ab7ee",
    "down": "#f0985a",
    "good": "#5cc9a3",
    "bad": "#f3936b",
    "wait": "#dcbb52",
    "tint": "#20252d",
}
SANS = '-apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif'
SERIF = '"Iowan Old Style", "Palatino Linotype", Palatino, Charter, Georgia, "Times New Roman", serif'
MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'


def _declare(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def variables(root: str) -> str:
    """The colour variables on `root`, for light and dark; print is always light."""
    return (
        f"{root} {{ color-scheme: light dark; {_declare(_LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ {root} {{ {_declare(_DARK)} }} }}\n"
    )


# Only classes, no style attributes: a page under a strict content security policy can serve this as one sheet.
PICTURE = (
    f"svg.figure {{ font-family: {SANS}; font-variant-numeric: tabular-nums; display: block; height: auto; }}\n"
    + """svg.figure text { fill: var(--ink); font-size: 12.5px; }
svg.figure .soft { fill: var(--soft); }
svg.figure .small { font-size: 11.5px; }
svg.figure .strong { font-weight: 600; }
svg.figure .end { text-anchor: end; }
svg.figure .middle { text-anchor: middle; }
svg.figure .grid { stroke: var(--grid); stroke-width: 1; fill: none; }
svg.figure .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
svg.figure .zero { stroke: var(--ink); stroke-width: 1.2; fill: none; }
svg.figure .guide { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; fill: none; }
svg.figure .whisker { stroke: var(--ink); stroke-width: 1.4; fill: none; }
svg.figure .under { stroke: var(--card); stroke-width: 3.4; fill: none; }
svg.figure .track { fill: var(--tint); }
svg.figure .sheet { fill: var(--card); stroke: var(--rule); stroke-width: 1; }
svg.figure .band { fill: var(--soft); fill-opacity: .22; }
svg.figure .pixels { image-rendering: pixelated; }
svg.figure .cell { stroke: var(--card); stroke-width: 2; }
svg.figure .line { fill: none; stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
svg.figure .line.first { stroke-width: 2.4; }
svg.figure .line.pale { stroke-width: 1; stroke-opacity: .38; }
svg.figure .open { fill: var(--card); stroke-width: 2; }
svg.figure text.halo { paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
svg.figure text.keyed { stroke: none; }
svg.figure .up { fill: var(--up); } svg.figure .down { fill: var(--down); }
svg.figure .good { fill: var(--good); } svg.figure .bad { fill: var(--bad); } svg.figure .quiet { fill: var(--s6); }
"""
    + "".join(
        f"svg.figure .c{i} {{ stroke: var(--s{i}); }} svg.figure .f{i} {{ fill: var(--s{i}); stroke: var(--s{i}); }}\n"
        for i in range(1, 7)
    )
)
