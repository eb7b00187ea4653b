"""What a sample says: its truth and predictions as plain numbers, checked."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mmvlforge.evaluation.manipulation import box_scores
from mmvlforge.evaluation.scoring import JoinedRows
from mmvlforge.structures import VLDataSample

__all__ = [
    'joined_sample',
    'prediction_error',
    'prediction_row',
    'sample_box',
    'sample_fake_score',
    'sample_rule_boxes',
    'sample_size',
    'sample_tokens',
    'sample_type_scores',
]

_WRITTEN_BY = {
    'pred_fake_score': 'the binary head',
    'pred_type_scores': 'the manipulation type head',
    'pred_box': 'the box head',
    'pred_box_raw': 'the box head',
    'pred_tokens': 'the token head',
}


def _field(sample: dict, field: str):
    if field not in sample:
        source = _WRITTEN_BY.get(field, 'the data set')
        raise ValueError(f"sample {sample.get('index')}: no field '{field}', which {source} writes")
    return sample[field]


def _values(sample: dict, field: str) -> np.ndarray:
    """A field as float64, exactly: float32 and bfloat16 values are float64 values too."""
    values = torch.as_tensor(_field(sample, field)).detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f'sample {sample.get("index")}: {field} is {values.tolist()}, must be finite')
    return values


def sample_fake_score(sample: dict) -> float:
    """P(fake) of a predicted sample."""
    value = float(_values(sample, 'pred_fake_score'))
    if not 0 <= value <= 1:
        raise ValueError(f'sample {sample.get("index")}: pred_fake_score is {value}, must be a probability in [0, 1]')
    return value


def sample_type_scores(sample: dict, n_types: int) -> list[float]:
    """Log-odds of a predicted sample's types.

    Args:
        sample: Fields of a ``VLDataSample``.
        n_types: How many there must be.
    """
    values = _values(sample, 'pred_type_scores')
    if values.shape != (n_types,):
        raise ValueError(
            f'sample {sample.get("index")}: pred_type_scores has shape {values.shape}, the data set has {n_types} types'
        )
    return values.tolist()


def sample_box(sample: dict, field: str = 'pred_box') -> list[float] | None:
    """A sample's box, xyxy, or None.

    A predicted side that has shrunk to nothing in float32 is widened by the smallest step float32 has: such a box
    overlaps nothing, but it is not "no box".
    """
    if _field(sample, field) is None:
        return None
    box = _values(sample, field)
    if box.shape != (4,) or (box[2:] < box[:2]).any():
        where = f'sample {sample.get("index")}: {field}'
        raise ValueError(f'{where} is {box.tolist()}, must be [x1, y1, x2, y2] with x1 < x2 and y1 < y2')
    box[2:] = np.maximum(box[2:], np.nextafter(box[:2].astype(np.float32), np.float32(np.inf)))
    return box.tolist()


def sample_rule_boxes(sample: dict) -> dict[str, list[float] | None]:
    """A sample's predicted box under each rule for "no box" that its head answered; none if it has no such rules."""
    no_box = sample.get('pred_no_box', {})
    return {rule: None if gone else sample_box(sample, 'pred_box_raw') for rule, gone in no_box.items()}


def sample_size(sample: dict | VLDataSample) -> tuple[float, float]:
    """Width and height of a sample's stored picture; inf where unknown."""
    height, width = sample.get('ori_shape', (np.inf, np.inf))
    return width, height


def sample_tokens(sample: dict, field: str = 'pred_tokens') -> list[int]:
    """A sample's tokens as 0 and 1, one for each of its ``word_ids``."""
    values = _values(sample, field)
    n = len(_field(sample, 'word_ids'))
    if values.shape != (n,):
        raise ValueError(f'sample {sample.get("index")}: {field} has shape {values.shape}, word_ids has {n} tokens')
    return (values == 1).astype(int).tolist()


def prediction_row(sample: dict, types: Sequence[str]) -> dict:
    """A predicted sample in the prediction format. A part that no head predicted is left out.

    Args:
        sample: Fields of a ``VLDataSample`` with its predictions.
        types: Manipulation types of the data set, see :func:`mmvlforge.evaluation.scoring.type_names`.
    """
    row: dict[str, Any] = dict(index=int(_field(sample, 'index')), fake_score=sample_fake_score(sample))
    if 'pred_type_scores' in sample:
        row['type_scores'] = dict(zip(types, sample_type_scores(sample, len(types))))
    if 'pred_box' in sample:
        row['box'] = sample_box(sample)
        by_rule = sample_rule_boxes(sample)
        if by_rule:
            row['no_box'] = {rule: box is None for rule, box in by_rule.items()}
            kept = next((box for box in by_rule.values() if box is not None), None)
            if kept not in (None, row['box']):
                row['raw_box'] = kept
        if 'ori_shape' in sample:
            row['size'] = [int(side) for side in sample_size(sample)]
    if 'pred_tokens' in sample:
        row['word_ids'] = [int(word) for word in _field(sample, 'word_ids')]
        row['fake_tokens'] = sample_tokens(sample)
    return row


def prediction_error(sample: VLDataSample) -> float:
    """How wrong a prediction is, 0 (perfect) to 3: one third for the verdict, one for the box, one for the words.

    Sum of the probability given to the wrong verdict, of 1 - box score (the overlap; 1 where rightly no box is
    predicted) and of 1 - F1 over the sample's tokens (F1 = 1 where rightly no token is marked). A part without truth
    or without prediction adds 0.
    """
    error = 0.0
    if 'gt_fake' in sample and 'pred_fake_score' in sample:
        error += 1 - sample.pred_fake_score if sample.gt_fake else sample.pred_fake_score
    if 'gt_box' in sample and 'pred_box' in sample:
        pred, true = ([[0.0] * 4] if box is None else [box.tolist()] for box in (sample.pred_box, sample.gt_box))
        error += 1 - float(box_scores(pred, true, 'strict', [sample_size(sample)])[0])
    if 'gt_tokens' in sample and 'pred_tokens' in sample:
        marked = int((sample.gt_tokens == 1).sum() + (sample.pred_tokens == 1).sum())
        hits = int(((sample.gt_tokens == 1) & (sample.pred_tokens == 1)).sum())
        error += 1 - 2 * hits / marked if marked else 0.0
    return error


def joined_sample(rows: JoinedRows, index: int, image_root: str | os.PathLike | None = None) -> VLDataSample:
    """One row of truth and prediction as a sample. What the set or the model says nothing of is left out.

    Args:
        rows: From :func:`mmvlforge.evaluation.scoring.join`.
        index: Row of the annotation file.
        image_root: Folder that the record's ``image`` is relative to; None leaves the picture out.
    """
    record, prediction, fmt = rows.records[index], rows.predictions[index], rows.format
    image_type, text_type = fmt.class_map[record['fake_cls']]
    names = dict(text=record['text'], fake_cls=record['fake_cls'])
    sample = VLDataSample(metainfo=dict(index=index, **names))
    if image_root is not None:
        sample.set_metainfo(dict(img_path=os.path.join(image_root, record['image'])))
    sample.gt_image_type = fmt.image_types.index(image_type)
    sample.gt_text_type = fmt.text_types.index(text_type)
    sample.gt_fake = int(rows.fake[index])
    if fmt.box_field:
        sample.gt_box = _box(record[fmt.box_field])
    sample.pred_fake_score = float(prediction['fake_score'])
    if rows.type_scores is not None:
        sample.pred_type_scores = torch.tensor(rows.type_scores[index], dtype=torch.float32)
    if rows.boxes is not None:
        sample.pred_box = _box(prediction['box'])
        if 'size' in prediction:
            width, height = prediction['size']
            sample.set_metainfo(dict(ori_shape=(height, width)))
    # Truth alone is by words.
    word_ids = prediction['word_ids'] if rows.true_tokens is not None else list(range(len(record['text'].split())))
    sample.set_metainfo(dict(word_ids=word_ids))
    if rows.true_tokens is not None:
        sample.pred_tokens = torch.tensor(prediction['fake_tokens'], dtype=torch.int64)
    if fmt.word_field:
        fake_words = set(record[fmt.word_field])
        sample.gt_tokens = torch.tensor([int(word in fake_words) for word in word_ids], dtype=torch.int64)
    return sample


def _box(box: list[float] | None) -> torch.Tensor | None:
    return torch.tensor(box, dtype=torch.float64) if box else None
