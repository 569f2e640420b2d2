"""Terminal renderings with rich: sentences first, then tables; readable at 80 columns and without colour.

Data go into `Text`, never into rich's markup, and are cleaned of control characters: a label can neither colour the
terminal nor move its cursor.
"""

from pellucid.report.terminal.change import diff_view
from pellucid.report.terminal.evidence import evidence_view
from pellucid.report.terminal.explanation import explanation_view, explanations_view
from pellucid.report.terminal.history import log_view
from pellucid.report.terminal.search import search_view

__all__ = ["diff_view", "evidence_view", "explanation_view", "explanations_view", "log_view", "search_view"]
