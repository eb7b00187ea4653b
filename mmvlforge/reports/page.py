"""Parts of a self-contained HTML page: tables, figures, the page itself."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ['figure', 'metric_table', 'table', 'write_page']

_STYLE = """
:root { --ink: #18202c; --soft: #5d6675; --line: #dfe3ea; --true: #d62020; --pred: #185adb; --fill: #bed6ff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 8px 0; }
h2 { font-size: 1.2rem; margin: 40px 0 6px; }
p { margin: 4px 0 14px; color: var(--soft); max-width: 46em; }
section.box { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 6px 16px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th, tr.group th { color: var(--soft); font-size: .8rem; font-weight: 600; }
tr.group th { padding-top: 16px; color: var(--pred); }
.n { text-align: right; white-space: nowrap; }
.good { color: #18803f; font-weight: 600; }
.bad { color: #b35a00; font-weight: 600; }
small { color: var(--soft); display: block; font-weight: 400; font-size: .85rem; line-height: 1.35; }
.bar { display: block; height: 6px; border-radius: 3px; background: var(--pred); margin-top: 4px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.two { align-items: start; }
.narrow { max-width: 780px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 16px; }
.cards { align-items: start; }
.wide { display: grid; gap: 16px; justify-items: start; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
.wide figure img { width: auto; max-width: 100%; }
figcaption { padding: 8px 12px; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem; }
.t { border-bottom: 3px solid var(--true); } .p { background: var(--fill); padding: 0 2px; }
"""


def table(head: Sequence[str], rows: Sequence[str], numbers: int = 1) -> str:
    """A table of rows; the last ``numbers`` columns of the head stand to the right."""
    cells = [f'<th{" class=n" if i >= len(head) - numbers else ""}>{name}</th>' for i, name in enumerate(head)]
    return f'<section class=box><table><thead><tr>{"".join(cells)}</tr></thead>{"".join(rows)}</table></section>'


def metric_table(
    meanings: dict[str, tuple[str, bool, str]], metrics: dict, base: dict | None = None, base_name: str = 'Trivial'
) -> str:
    """A table of metrics under their groups, green where they are better than a base and red where worse.

    Args:
        meanings: Name → group, whether higher is better, what it says (HTML); rows in this order.
        metrics: Name → value or None.
        base: Likewise of what they are held against; None leaves it out.
        base_name: Its column's head.
    """
    head = ['Metric', 'Model'] + ([base_name] if base is not None else [])
    rows, group = [], None
    for name, (kind, higher, meaning) in meanings.items():
        if kind != group:
            rows.append(f'<tr class=group><th colspan={len(head)}>{kind}</th></tr>')
            group = kind
        value, other = metrics.get(name), (base or {}).get(name)
        style = ''
        if value is not None and other is not None and value != other:
            style = ' good' if (value > other) == higher else ' bad'
        arrow = '↑ higher is better' if higher else '↓ lower is better'
        cells = [f'<td class="n{style}">{_number(value)}</td>']
        if base is not None:
            cells.append(f'<td class=n>{_number(other)}</td>')
        rows.append(f'<tr><td><b>{name}</b> <small>{arrow}. {meaning}</small></td>{"".join(cells)}</tr>')
    return table(head, rows, len(head) - 1)


def _number(value: float | None) -> str:
    return '–' if value is None else f'{value:.2f}'


def figure(picture: np.ndarray, alt: str, caption: str) -> str:
    """A picture inside the page.

    Args:
        picture: RGB, uint8 ``(height, width, 3)``.
        alt: What it shows, for those who do not see it.
        caption: Text under it; none if empty.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, 'JPEG', quality=85, subsampling=0, optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    below = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
    return (
        f'<figure><img loading=lazy width={picture.shape[1]} height={picture.shape[0]} alt="{escape(alt)}" '
        f'src="data:image/jpeg;base64,{data}">{below}</figure>'
    )


def write_page(out_file: str, title: str, parts: Sequence[str]) -> None:
    """Write a page that needs no network; its folder is made if need be.

    Args:
        out_file: HTML file.
        title: Plain text.
        parts: HTML of the page's body.
    """
    page = (
        '<!doctype html><html lang=en><head><meta charset=utf-8>'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{"".join(parts)}</main></body></html>'
    )
    Path(out_file).parent.mkdir(parents=True, exist_ok=True)
    Path(out_file).write_text(page, encoding='utf-8')
