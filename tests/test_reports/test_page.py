import re

import numpy as np
import pytest

from mmvlforge.reports.page import Metric, figure, metric_groups, write_gallery

MEANINGS = {
    'a': Metric('First', 'Alpha', 'What a says.'),
    'b': Metric('First', 'Beta', 'What b says.', higher=False),
    'c': Metric('Second', 'Gamma', 'What c says.'),
}


def test_metrics_stand_in_groups_beside_what_they_are_held_against():
    first, second = metric_groups(MEANINGS, dict(a=2.0, b=2.0, c=None), dict(a=1.0, b=1.0, c=1.0))
    assert (first.name, second.name) == ('First', 'Second')
    assert [row.key for row in first.rows] == ['a', 'b']
    # higher is better of a, worse of b; of no number nothing can be said
    assert [row.better for row in (*first.rows, *second.rows)] == [True, False, None]
    assert [row.base for row in (*first.rows, *second.rows)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize('base', [None, {}, dict(a=2.0, b=None)])
def test_what_cannot_be_compared_is_neither_better_nor_worse(base):
    groups = metric_groups(MEANINGS, dict(a=2.0, b=2.0), base)
    assert [row.better for group in groups for row in group.rows] == [None, None, None]


@pytest.mark.parametrize('legend', ['proofreading', 'word_maps', 'found_pictures', 'found_captions'])
def test_a_gallery_escapes_text_and_has_its_legend(tmp_path, legend):
    picture = figure(np.zeros((4, 6, 3), np.uint8), 'a "quoted" <b>word</b>', 'x & <y>')
    out = tmp_path / 'new' / 'index.html'
    write_gallery(out, 'A <title>', legend, [picture, picture._replace(caption='')])
    page = out.read_text(encoding='utf-8')
    assert page.count('<title>A &lt;title&gt;</title>') == page.count('<h1>A &lt;title&gt;</h1>') == 1
    assert page.count('alt="a &#34;quoted&#34; &lt;b&gt;word&lt;/b&gt;"') == 2
    assert page.count('<figcaption>x &amp; &lt;y&gt;</figcaption>') == page.count('<figcaption>') == 1
    assert page.count('width=6 height=4') == 2 and page.count('src="data:image/jpeg;base64,') == 2
    assert page.count('<ul class=legend>') == 1
    assert 'http' not in re.sub(r'base64,[^"]+', '', page) and '<script' not in page and '<link' not in page
