"""One chart a file; each is a pure function from numbers to an accessible SVG picture."""

from pellucid.report.charts.attribution import Column, attribution_bars
from pellucid.report.charts.confusion import confusion_chart
from pellucid.report.charts.dependence import dependence_chart
from pellucid.report.charts.growth import Amount, growth_chart
from pellucid.report.charts.heat import heat_map
from pellucid.report.charts.highlight import Piece, highlight_chart
from pellucid.report.charts.intervals import Estimate, interval_chart
from pellucid.report.charts.lines import Series, line_chart
from pellucid.report.charts.moved import Moved, moved_chart
from pellucid.report.charts.overlay import Region, overlay_chart
from pellucid.report.charts.reliability import Bin, reliability_chart
from pellucid.report.charts.residuals import residual_chart
from pellucid.report.charts.segments import Span, segment_chart
from pellucid.report.charts.shares import flip_chart, share_bar
from pellucid.report.charts.shifts import Shift, shift_chart
from pellucid.report.charts.swarm import swarm_chart
from pellucid.report.charts.timeline import timeline_chart
from pellucid.report.charts.trials import Tried, trials_chart
from pellucid.report.charts.waterfall import Step, fold_steps, waterfall_chart

ALL = {
    "attribution": attribution_bars,
    "confusion": confusion_chart,
    "dependence": dependence_chart,
    "flips": flip_chart,
    "growth": growth_chart,
    "heat": heat_map,
    "highlight": highlight_chart,
    "intervals": interval_chart,
    "lines": line_chart,
    "moved": moved_chart,
    "overlay": overlay_chart,
    "reliability": reliability_chart,
    "residuals": residual_chart,
    "segments": segment_chart,
    "share": share_bar,
    "shifts": shift_chart,
    "timeline": timeline_chart,
    "swarm": swarm_chart,
    "trials": trials_chart,
    "waterfall": waterfall_chart,
}

__all__ = [
    "ALL",
    "Amount",
    "Bin",
    "Column",
    "Estimate",
    "Moved",
    "Piece",
    "Region",
    "Series",
    "Shift",
    "Span",
    "Step",
    "Tried",
    "attribution_bars",
    "confusion_chart",
    "dependence_chart",
    "flip_chart",
    "fold_steps",
    "growth_chart",
    "heat_map",
    "highlight_chart",
    "interval_chart",
    "line_chart",
    "moved_chart",
    "overlay_chart",
    "reliability_chart",
    "residual_chart",
    "segment_chart",
    "share_bar",
    "shift_chart",
    "swarm_chart",
    "timeline_chart",
    "trials_chart",
    "waterfall_chart",
]
