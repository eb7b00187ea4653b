"""The record that carries one item, a pair or a group, from the data set to the evaluator."""

from typing import Any

from mmengine.structures import BaseDataElement
from torch import Tensor

from mmvlforge.structures.edits import EditExam


# Any stands for the annotated type of the field, as in dataclasses.field; MMEngine knows fields by being properties.
def _field(name: str, dtype: type | tuple[type, ...], doc: str) -> Any:
    def getter(self):
        return getattr(self, '_' + name)

    def setter(self, value):
        self.set_field(value, '_' + name, dtype=dtype)

    def deleter(self):
        delattr(self, '_' + name)

    return property(getter, setter, deleter, doc)


class VLDataSample(BaseDataElement):
    """Labels and predictions of one item; everything stays on the CPU.

    Meta information (``sample.metainfo``) of an image-text pair under manipulation detection: ``index`` (row of the
    annotation file), ``img_path``, ``ori_shape`` ``(height, width)`` of the whole picture, ``img_shape``, ``flip``,
    ``orientation`` (``'stored'`` or ``'seen'``: the frame of picture and boxes), ``text``, ``word_ids`` (word index in
    ``text.split()`` of each sub-word token, special tokens left out), ``fake_cls``, ``box_cut`` (whether a
    part of the box lies beyond the picture, where the model is taught the rest). Of a retrieval item, F pictures and K
    captions: ``index``, ``img_paths``, ``captions``, ``image_id``, ``num_images`` (F), ``num_captions`` (K), and what
    the item's metric needs (``tag``, ``category``, ...).
    """

    gt_fake: int = _field('gt_fake', int, '1 if either modality is manipulated.')
    gt_image_type: int = _field('gt_image_type', int, 'Class of the image, 0 = real.')
    gt_text_type: int = _field('gt_text_type', int, 'Class of the text, 0 = real.')
    gt_box: Tensor | None = _field(
        'gt_box',
        (Tensor, type(None)),
        'Manipulated region as annotated, xyxy pixels of the stored image ``(4,)``, or None. May reach a little beyond '
        'the image, as ``pred_box``.',
    )
    gt_tokens: Tensor = _field('gt_tokens', Tensor, '1 for each manipulated word token, int64 ``(len(word_ids),)``.')
    pred_fake_score: float = _field('pred_fake_score', float, 'P(fake).')
    pred_type_scores: Tensor = _field(
        'pred_type_scores', Tensor, 'Log-odds of each manipulation type, image types first ``(4,)``.'
    )
    pred_image_type: int = _field('pred_image_type', int, 'Most likely class of the image, 0 = real.')
    pred_text_type: int = _field('pred_text_type', int, 'Most likely class of the text, 0 = real.')
    pred_box: Tensor | None = _field(
        'pred_box',
        (Tensor, type(None)),
        'Predicted region, xyxy pixels of the stored image ``(4,)``, or None. May reach beyond the image; who shows it '
        'cuts it there.',
    )
    pred_box_raw: Tensor = _field('pred_box_raw', Tensor, 'As ``pred_box``, before any rule for "no box".')
    pred_no_box: dict[str, bool] = _field(
        'pred_no_box', dict, 'Whether each rule finds no box, by its name; ``pred_box`` follows the one of the head.'
    )
    pred_tokens: Tensor = _field('pred_tokens', Tensor, '1 for each token held for manipulated, as ``gt_tokens``.')
    pred_token_scores: Tensor = _field('pred_token_scores', Tensor, 'P(manipulated) of each token, as ``gt_tokens``.')
    pred_image_feats: Tensor = _field(
        'pred_image_feats', Tensor, 'Embeddings of the pictures, L2-normalised, float32 ``(F, D)``.'
    )
    pred_text_feats: Tensor = _field(
        'pred_text_feats', Tensor, 'Embeddings of the captions, L2-normalised, float32 ``(K, D)``.'
    )
    pred_proofreading: EditExam = _field(
        'pred_proofreading', EditExam, 'What the model makes of the captions after an edition.'
    )
