"""A test run as one self-contained HTML page: numbers, counts and pictures."""

import itertools
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from mmvlforge.annotations.dgm4_record import IMAGE_TYPES, TEXT_TYPES, dgm4_class_map
from mmvlforge.evaluation.manipulation import box_scores
from mmvlforge.reports.page import figure, metric_table, table, write_page
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization.drawing import blank_picture, load_picture
from mmvlforge.visualization.manipulation_visualizer import ManipulationVisualizer

__all__ = ['METRICS', 'build_sample', 'prediction_error', 'select_samples', 'write_report']

# name → (group, whether higher is better, what it says)
METRICS = {
    'AUC': ('Real or fake', True, 'How well P(fake) ranks fake pairs above real ones; 50 is guessing.'),
    'EER': ('Real or fake', False, 'Error rate at the threshold where misses and false alarms are equally frequent.'),
    'ACC': ('Real or fake', True, 'Share of pairs with the right verdict at P(fake) > 0.5.'),
    'mAP': ('Kind of manipulation', True, 'How well a type score ranks the pairs of that type, mean of all types.'),
    'CF1': ('Kind of manipulation', True, 'Balance of precision and recall, every type with the same weight.'),
    'OF1': ('Kind of manipulation', True, 'Balance of precision and recall, every decision with the same weight.'),
    'IoUmean': ('Place in the picture', True, 'Overlap with the true box; without a true box, 100 if none is found.'),
    'IoU50': ('Place in the picture', True, 'Share of pairs whose overlap is above 50 %.'),
    'IoU75': ('Place in the picture', True, 'Share of pairs whose overlap is above 75 %.'),
    'Precision': ('Words of the caption', True, 'Of the tokens held for manipulated, how many are.'),
    'Recall': ('Words of the caption', True, 'Of the manipulated tokens, how many were found.'),
    'F1': ('Words of the caption', True, 'Harmonic mean of the two.'),
    'IoUmean_boxed': ('Besides', True, 'IoUmean over pairs that do have a true box: "no box everywhere" gets 0 here.'),
}  # fmt: skip


def prediction_error(sample: VLDataSample) -> float:
    """How wrong a prediction is, 0 (perfect) to 3: one third for the verdict, one for the box, one for the words.

    Sum of the probability given to the wrong verdict, of 1 - box score (the overlap; 1 where rightly no box is
    predicted) and of 1 - F1 over the sample's tokens (F1 = 1 where rightly no token is marked). A part without truth
    or without prediction adds 0.
    """
    error = 0.0
    if hasattr(sample, 'gt_fake') and hasattr(sample, 'pred_fake_score'):
        error += 1 - sample.pred_fake_score if sample.gt_fake else sample.pred_fake_score
    if hasattr(sample, 'gt_box') and hasattr(sample, 'pred_box'):
        pred, true = ([[0.0] * 4] if box is None else [box.tolist()] for box in (sample.pred_box, sample.gt_box))
        error += 1 - float(box_scores(pred, true, 'strict')[0])
    if hasattr(sample, 'gt_tokens') and hasattr(sample, 'pred_tokens'):
        marked = int((sample.gt_tokens == 1).sum() + (sample.pred_tokens == 1).sum())
        hits = int(((sample.gt_tokens == 1) & (sample.pred_tokens == 1)).sum())
        error += 1 - 2 * hits / marked if marked else 0.0
    return error


def build_sample(index: int, record: dict, prediction: dict, image_root: str | None = None) -> VLDataSample:
    """Join one DGM⁴ record and one line of a prediction file.

    Args:
        index: Row of the annotation file.
        record: The annotation record.
        prediction: The prediction for this row.
        image_root: Folder that the record's ``image`` is relative to; None leaves the picture out.
    """
    image_type, text_type = dgm4_class_map()[record['fake_cls']]
    word_ids = prediction['word_ids']
    sample = VLDataSample(
        metainfo=dict(index=index, text=record['text'], fake_cls=record['fake_cls'], word_ids=word_ids)
    )
    if image_root is not None:
        sample.set_metainfo(dict(img_path=str(Path(image_root, record['image']))))
    sample.gt_image_type = IMAGE_TYPES.index(image_type)
    sample.gt_text_type = TEXT_TYPES.index(text_type)
    sample.gt_fake = int(sample.gt_image_type > 0 or sample.gt_text_type > 0)
    sample.gt_box = _box(record['fake_image_box'])
    fake_words = set(record['fake_text_pos'])
    sample.gt_tokens = torch.tensor([int(word in fake_words) for word in word_ids], dtype=torch.int64)
    sample.pred_fake_score = float(prediction['fake_score'])
    sample.pred_type_scores = torch.tensor(prediction['type_scores'], dtype=torch.float32)
    sample.pred_box = _box(prediction['box'])
    sample.pred_tokens = torch.tensor(prediction['fake_tokens'], dtype=torch.int64)
    return sample


def _box(box: Sequence[float] | None) -> torch.Tensor | None:
    return torch.tensor(box, dtype=torch.float32) if box else None


def select_samples(classes: Sequence[str], errors: Sequence[float], num: int) -> dict[str, list[int]]:
    """Choose which samples to show, none twice.

    Args:
        classes: Name of each sample's class.
        errors: ``prediction_error`` of each sample.
        num: How many in all.

    Returns:
        Places in ``classes``: ``typical`` (of each class the sample with the middle error), ``worst`` (largest errors
        of all) and ``best`` (smallest errors, the classes by turns); the latter two share what ``typical`` leaves.
    """
    order = sorted(range(len(classes)), key=lambda i: (errors[i], i))
    by_class = {name: [i for i in order if classes[i] == name] for name, _ in Counter(classes).most_common()}
    typical = [rows[len(rows) // 2] for rows in by_class.values()][:num]
    left = [i for i in order if i not in set(typical)]
    rest = min(num - len(typical), len(left))
    worst = left[len(left) - (rest + 1) // 2 :][::-1]
    used = {*typical, *worst}
    free = [[i for i in rows if i not in used] for rows in by_class.values()]
    turns = [i for turn in itertools.zip_longest(*free) for i in turn if i is not None]
    best = turns[: rest - len(worst)]
    return dict(typical=typical, worst=worst, best=best)


def _class_table(samples: Sequence[VLDataSample]) -> str:
    counts = Counter(sample.fake_cls for sample in samples)
    called = Counter(sample.fake_cls for sample in samples if sample.pred_fake_score > 0.5)
    largest = max(counts.values())
    rows = [
        f'<tr><td>{escape(name.replace("&", " + ").replace("_", " "))}'
        f'<span class=bar style="width:{100 * count / largest:.0f}%"></span></td>'
        f'<td class=n>{count}</td><td class=n>{100 * called[name] / count:.1f} %</td></tr>'
        for name, count in counts.most_common()
    ]
    return table(['Class', 'Pairs', 'Called fake'], rows, 2)


def _verdict_table(samples: Sequence[VLDataSample]) -> str:
    counts = Counter((sample.gt_fake, sample.pred_fake_score > 0.5) for sample in samples)
    rows = [
        f'<tr><td>truly {name}</td>'
        + ''.join(
            f'<td class="n {"good" if bool(fake) == called else "bad"}">{counts[fake, called]}</td>'
            for called in (False, True)
        )
        + '</tr>'
        for fake, name in ((0, 'real'), (1, 'fake'))
    ]
    return table(['', 'called real', 'called fake'], rows, 2)


def _type_table(samples: Sequence[VLDataSample]) -> str:
    names = IMAGE_TYPES[1:] + TEXT_TYPES[1:]
    true, hits, alarms = Counter(), Counter(), Counter()
    for sample in samples:
        kinds = {IMAGE_TYPES[sample.gt_image_type], TEXT_TYPES[sample.gt_text_type]}
        for name, score in zip(names, sample.pred_type_scores.tolist()):
            true[name] += name in kinds
            hits[name] += name in kinds and score >= 0
            alarms[name] += name not in kinds and score >= 0
    rows = [
        f'<tr><td>{name.replace("_", " ")}</td><td class=n>{true[name]}</td><td class="n good">{hits[name]}</td>'
        f'<td class="n bad">{true[name] - hits[name]}</td><td class="n bad">{alarms[name]}</td></tr>'
        for name in names
    ]
    return table(['Type', 'Pairs', 'found', 'missed', 'false alarms'], rows, 4)


def _figure(sample: VLDataSample, error: float, visualizer: ManipulationVisualizer) -> str:
    path = sample.get('img_path')
    drawn = visualizer.draw(load_picture(path) if path else blank_picture(), sample)
    verdict = 'fake' if sample.pred_fake_score > 0.5 else 'real'
    name = sample.fake_cls.replace('&', ' + ').replace('_', ' ')
    alt = f'{sample.text} (truth: {name}; called {verdict})'
    return figure(drawn, alt, f'Row {sample.index} · {name} · error {error:.2f}')


def write_report(
    samples: Sequence[VLDataSample],
    out_file: str,
    title: str = 'Manipulation detection and grounding',
    metrics: dict | None = None,
    trivial: dict | None = None,
    num: int = 24,
) -> None:
    """Write the page. It needs no network: style and pictures lie inside.

    Args:
        samples: Every row of the test set with labels and predictions, see :func:`build_sample`.
        out_file: HTML file to write.
        title: Heading. Default: 'Manipulation detection and grounding'.
        metrics: Name → percent (or None) of the model; without it the table of metrics is left out. Default: None.
        trivial: Likewise of a predictor that looks at nothing. Default: None.
        num: How many samples to draw. Default: 24.
    """
    visualizer = ManipulationVisualizer(min_width=560)
    visualizer.dataset_meta = dict(image_types=IMAGE_TYPES, text_types=TEXT_TYPES)
    errors = [prediction_error(sample) for sample in samples]
    chosen = select_samples([sample.fake_cls for sample in samples], errors, num)
    fakes = sum(sample.gt_fake for sample in samples)

    parts = [
        f'<h1>{escape(title)}</h1>',
        f'<p>{len(samples)} pairs of a picture and a caption: {len(samples) - fakes} real, {fakes} manipulated in the '
        'picture, in the caption or in both. The model tells fake from real, names the kind of manipulation, and '
        'points at the place in the picture and at the words of the caption.</p>',
    ]
    if metrics is not None:
        note = (
            ' <b>Trivial</b> is a predictor that looks at nothing: it gives every pair the same scores, no box and no '
            'manipulated word. <span class=good>Green</span> is better than that.'
        )
        parts += [
            f'<h2>Metrics</h2><p>All in percent.{note if trivial is not None else ""}</p>',
            f'<div class=narrow>{metric_table(METRICS, metrics, trivial)}</div>',
        ]
    parts += [
        '<h2>Classes and verdicts</h2>',
        '<p>A pair is called fake if P(fake) is above 0.5. A type is found if its probability is at least 0.5.</p>',
        f'<div class=two><div>{_class_table(samples)}</div>',
        f'<div class=two>{_verdict_table(samples)}{_type_table(samples)}</div></div>',
        '<h2>Pictures</h2>',
        '<p>Truth is red, prediction is blue: <span class=t>truly manipulated words</span>, '
        '<span class=p>words held for manipulated</span>, <span class="t p">both</span>; boxes likewise. Bars are the '
        'probabilities of the types. The error under a picture is 0 (all right) to 3: the probability of the wrong '
        'verdict, plus 1 − box overlap, plus 1 − F1 of the words.</p>',
    ]
    for key, head, text in (
        ('typical', 'One of each class', 'Not picked for looks: of each class the pair with the middle error.'),
        ('best', 'Best', 'The smallest errors, the classes by turns.'),
        ('worst', 'Worst', 'The largest errors of all.'),
    ):
        if chosen[key]:
            figures = ''.join(_figure(samples[i], errors[i], visualizer) for i in chosen[key])
            parts.append(f'<h2>{head}</h2><p>{text}</p><div class=cards>{figures}</div>')
    write_page(out_file, title, parts)
