"""Self-contained HTML pages: what all reports share. Their text and looks are in ``templates/``."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

__all__ = ['Figure', 'Metric', 'MetricGroup', 'MetricRow', 'figure', 'metric_groups', 'write_gallery', 'write_page']

_TEMPLATES = Environment(
    loader=PackageLoader('mmvlforge.reports'),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


class Metric(NamedTuple):
    """What people read of a metric.

    Attributes:
        group: Heading over it and its like.
        name: Its name in words.
        meaning: What it says, a sentence.
        higher: Whether higher is better.
    """

    group: str
    name: str
    meaning: str
    higher: bool = True


class MetricRow(NamedTuple):
    """A metric beside its values, in percent; ``better`` than the base, or not, or None where that cannot be said."""

    key: str
    metric: Metric
    value: float | None
    base: float | None
    better: bool | None


class MetricGroup(NamedTuple):
    """Metrics under one heading."""

    name: str
    rows: list[MetricRow]


class Figure(NamedTuple):
    """A picture inside a page.

    Attributes:
        source: The picture itself, as a ``data:`` address.
        width: Pixels.
        height: Pixels.
        alt: What it shows, for those who do not see it.
        caption: Text under it; none if empty.
    """

    source: str
    width: int
    height: int
    alt: str
    caption: str


def metric_groups(
    meanings: Mapping[str, Metric],
    metrics: Mapping[str, float | None],
    base: Mapping[str, float | None] | None = None,
) -> list[MetricGroup]:
    """Metrics beside what they are held against.

    Args:
        meanings: Key of each metric → what people read of it; rows in this order, those of a group one after another.
        metrics: Key → percent, or None.
        base: Likewise of what they are held against.
    """
    rows = []
    for key, metric in meanings.items():
        value, other = metrics.get(key), (base or {}).get(key)
        comparable = value is not None and other is not None and value != other
        better = (value > other) == metric.higher if comparable else None  # type: ignore[operator]  # neither is None
        rows.append(MetricRow(key, metric, value, other, better))
    return [MetricGroup(name, list(found)) for name, found in groupby(rows, lambda row: row.metric.group)]


def figure(picture: np.ndarray, alt: str, caption: str) -> Figure:
    """Put a picture into a page.

    Args:
        picture: RGB, uint8 ``(height, width, 3)``.
        alt: What it shows, for those who do not see it.
        caption: Text under it; none if empty.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, 'JPEG', quality=85, subsampling=0, optimize=True)
    source = f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'
    return Figure(source, picture.shape[1], picture.shape[0], alt, caption)


def write_page(out_file: str | Path, template: str, **content: Any) -> None:
    """Fill in a template and write the page, which needs no network; its folder is made if need be.

    Args:
        out_file: HTML file.
        template: File of ``templates/``.
        **content: What it shows; see there.
    """
    page = _TEMPLATES.get_template(template).render(content)
    Path(out_file).parent.mkdir(parents=True, exist_ok=True)
    Path(out_file).write_text(page, encoding='utf-8')


def write_gallery(out_file: str | Path, title: str, legend: str, figures: Sequence[Figure]) -> None:
    """Write a page of pictures and nothing else.

    Args:
        out_file: HTML file.
        title: Heading.
        legend: Macro of ``templates/legends.html.j2`` that explains the colours.
        figures: The pictures.
    """
    write_page(out_file, 'gallery.html.j2', title=title, legend=legend, figures=figures)
