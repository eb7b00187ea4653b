"""The evidence report of one check: what was asked, by which model, what it said, and what it cannot know."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmvlforge.annotations.json_files import write_json
from mmvlforge.reports.page import figure, write_page
from mmvlforge.version import __version__

if TYPE_CHECKING:
    from mmvlforge.apis.manipulation import ManipulationInferencer

__all__ = ['UNKNOWABLE', 'evidence', 'write_evidence']

_SCHEMA = 'mmvlforge.evidence/1'
UNKNOWABLE = (
    'Whether the picture shows what the caption says it does, when and where it was taken, or of whom: it compares the '
    'two with what it learnt from, and knows nothing of the world.',
    'Kinds of manipulation that its training set did not have: wholly generated pictures, other editors, true pictures '
    'with a true caption of another event.',
    'Who made it, and why. A changed picture may be honest, an unchanged one may deceive.',
    'Whether the model was the aim of an attack: a score can be turned on purpose.',
    'A score is a share of pairs of the validation set, no probability that holds for every source of pictures.',
)


def evidence(inferencer: 'ManipulationInferencer', result: dict, date: str) -> dict[str, Any]:
    """The report in plain values.

    Args:
        inferencer: The model.
        result: Its answer, of the form ``mmvlforge.check/1``; ``index_hits`` are told if it has them.
        date: When it was asked, as the report is to say it.
    """
    caption = result['caption']
    return dict(
        schema=_SCHEMA,
        date=date,
        tool=f'mmvlforge {__version__}',
        caption_sha256=None if caption is None else hashlib.sha256(caption.encode()).hexdigest(),
        result=result,
        explanation=inferencer.explain(result),
        model=_model_facts(inferencer),
        unknowable=list(UNKNOWABLE),
    )


def write_evidence(
    out: str | Path, inferencer: 'ManipulationInferencer', result: dict, drawn: np.ndarray | None, date: str
) -> None:
    """Write a page that needs no network, and the same as JSON beside it, of the same name with the ending ``.json``.

    Args:
        out: HTML file.
        inferencer: The model.
        result: Its answer.
        drawn: The answer as a picture, RGB uint8 ``(H, W, 3)``, as the inferencer draws it; None leaves it out.
        date: As in :func:`evidence`.

    Raises:
        ValueError: ``out`` has another ending.
    """
    if Path(out).suffix.lower() not in ('.html', '.htm'):
        raise ValueError(f'{out}: must end in .html')
    told = evidence(inferencer, result, date)
    alt = f'the picture with the region and the words held for manipulated; verdict: {result["verdict"] or "none"}'
    write_page(
        out,
        'evidence.html.j2',
        title='Evidence report',
        told=told,
        result=result,
        figures=[] if drawn is None else [figure(drawn, alt, '')],
        text=json.dumps(told, indent=2, ensure_ascii=False),
    )
    write_json(Path(out).with_suffix('.json'), told)


def _model_facts(inferencer: 'ManipulationInferencer') -> dict[str, Any]:
    """What a reader must know of the model."""
    trained = inferencer.trained
    facts = dict(trained.describe(), known_failures=list(trained.cfg.get('model_warnings', ())))
    facts['knows_what_it_has_seen'] = sorted(trained.familiarity)
    if trained.calibration is None:
        return dict(facts, calibration=None)
    fitted, protocol = trained.calibration
    rates = {name: getattr(fitted, name)._asdict() for name in ('false_alarms', 'misses', 'inconclusive')}
    errors = dict(before=fitted.error_before._asdict(), after=fitted.error_after._asdict())
    return dict(facts, calibration=dict(protocol=protocol, **rates, calibration_error=errors))
