"""Similarities of positive and negative pairs, and their normalised margins (Fig. 4 of the ViLEM paper)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ['draw_similarities']

COLORS = ('#185adb', '#d62020', '#18803f', '#b35a00', '#7a3db8')


def draw_similarities(models: Mapping[str, dict]) -> np.ndarray:
    """Draw the distributions of one or several models over each other.

    Args:
        models: Name → what :func:`mmvlforge.evaluation.similarity.similarity_distribution` returns.

    Returns:
        RGB, uint8.
    """
    figure = Figure(figsize=(11, 4), dpi=100, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for i, (name, found) in enumerate(models.items()):
        color, edges = COLORS[i % len(COLORS)], found['edges']
        for kind, style in (('positive', '-'), ('negative', '--')):
            label = f'{name}, {kind}: {found[kind]["mean"]:.2f} ± {found[kind]["std"]:.2f}'
            left.stairs(found[kind]['histogram'], edges, color=color, linestyle=style, label=label)
        left.stairs(found['positive']['histogram'], edges, color=color, alpha=0.15, fill=True)
        margin = found['normalised_margin']
        right.stairs(margin['histogram'], edges, color=color, label=f'{name}: mean {margin["mean"]:.2f}')
        right.stairs(margin['histogram'], edges, color=color, alpha=0.15, fill=True)
        right.axvline(margin['mean'], color=color, linewidth=1)
    for axes, title in ((left, 'similarity'), (right, 'normalised margin')):
        axes.set(xlabel=title, ylabel='share of pairs', xlim=_filled(axes))
        axes.legend(fontsize=9, frameon=False)
        axes.spines[['top', 'right']].set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _filled(axes) -> tuple:
    """The range of the bars that are not empty."""
    ends = [
        patch.get_data().edges[place]
        for patch in axes.patches
        for filled in [np.flatnonzero(patch.get_data().values)]
        for place in (filled[0], filled[-1] + 1)
    ]
    return min(ends), max(ends)
