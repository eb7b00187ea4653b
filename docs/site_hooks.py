"""What the documentation site makes from files that stand elsewhere: the model zoo's tables and the changelog."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ROLE = re.compile(r':(?:class|func|meth|mod):(?=<code|<a|<autoref|`)')
ELSEWHERE = {'changelog.md': 'CHANGELOG.md', 'contributing.md': 'CONTRIBUTING.md'}


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Fill in what a page takes from elsewhere."""
    if page.file.src_uri in ELSEWHERE:
        text = (ROOT / ELSEWHERE[page.file.src_uri]).read_text(encoding='utf-8')
        return re.sub(r'\]\(docs/', '](', text)
    return markdown.replace('<!-- tables -->', zoo()) if page.file.src_uri == 'model_zoo.md' else markdown


def on_page_content(html: str, page, config, files) -> str:
    """Docstrings name classes by Sphinx's roles, which Markdown does not know: the name alone is shown."""
    return ROLE.sub('', html)


def zoo() -> str:
    """The configs that train a model, from the metafiles, with our figures apart from the papers'."""
    paper = json.loads((ROOT / 'docs/rows/paper.json').read_text())
    metafiles = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    told = [yaml.safe_load((ROOT / path).read_text()) for path in metafiles]
    models = [model for part in told for model in part['Models']]
    tables = []
    for collection in (collection for part in told for collection in part.get('Collections', ())):
        tables += ['', f'## {collection["Name"]}', '', *_facts(collection.get('Metadata', {})), '']
        tables += ['| config | ours | paper |', '|---|---|---|']
        for model in models:
            if model['In Collection'] == collection['Name']:
                results = [f'{r["Dataset"]}: {_figures(r["Metrics"])}' for r in model['Results'] or ()]
                name = model['Config'].removeprefix('configs/').removesuffix('.py')
                tables.append(f'| `{name}` | {"<br>".join(results)} | {_figures(paper.get(model["Name"], {}))} |')
    return '\n'.join(tables)


def _facts(metadata: dict) -> list[str]:
    return [f'- {key}: {", ".join(value) if isinstance(value, list) else value}' for key, value in metadata.items()]


def _figures(metrics: dict) -> str:
    return ', '.join(f'{name} {value}' for name, value in metrics.items())
