"""The documentation site: it builds without a warning, loads nothing from elsewhere, and its commands exist."""

import re
import shlex
import subprocess
import sys

import pytest
import typer
from project import ROOT

from mmvlforge.cli import app
from mmvlforge.cli.output import spell_out

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('site')
    run = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return out


def test_loads_nothing_from_elsewhere(site):
    for page in site.rglob('*.html'):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*src="?(https?://[^" >]+)', page.read_text())
        loaded += re.findall(r'<link[^>]*rel="?stylesheet"?[^>]*href="?(https?://[^" >]+)', page.read_text())
        assert not loaded, page


def test_zoo_keeps_the_papers_figures_apart(site):
    rows = re.findall(r'<tr>\s*<td><code>(.*?)</code></td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>', zoo := read(site))
    found = {name: (ours, paper) for name, ours, paper in rows}
    assert len(found) > 60, zoo[:500]
    assert found['dgm4/dca_imq'][0] == '' and found['dgm4/dca_imq'][1].startswith('AUC 95.11, EER 11.36')
    assert found['dgm4/dca_imq_mini'][0].startswith('mini DGM4: AUC 99.9')
    assert found['dgm4/dca_imq_mini'][1] == ''


def read(site):
    return (site / 'model_zoo/index.html').read_text()


def test_reference_shows_docstrings_without_sphinx_roles(site):
    text = (site / 'api/inferencers/index.html').read_text()
    assert 'Ask a trained manipulation detector about pictures with captions.' in text
    assert ':class:' not in text and ':func:' not in text
    assert 'stream' in text


def commands(path):
    """Lines ``mmvlforge ...`` of a page's shell blocks, continued lines joined."""
    for block in re.findall(r'^```(?:bash|console)\n(.*?)^```', path.read_text(encoding='utf-8'), re.M | re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == 'mmvlforge':
                yield words[1:]


@pytest.mark.parametrize('path', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_take_what_is_written(path):
    """The command exists, has all options that a line gives it, and room for the arguments."""
    for words in commands(path):
        command, context = typer.main.get_command(app), None
        while hasattr(command, 'commands'):
            context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
            if words[0].startswith('-'):
                break
            assert words[0] in command.commands, words
            command, words = command.commands[words[0]], words[1:]
        context = command.context_class(command, parent=context)
        own = {name for param in command.params for name in param.opts}
        several = {name for param in command.params if getattr(param, 'multiple', False) for name in param.opts}
        given, rest, _ = command.make_parser(context).parse_args(spell_out(words, own, several))
        assert not rest, (path.name, words)
        needed = [p for p in command.params if p.required and '--help' not in words]
        missing = [p.name for p in needed if given.get(p.name) is None]
        assert not missing, (path.name, words, missing)
