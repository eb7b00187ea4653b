"""The last transform: what the model reads, what it is taught, and the record for the evaluator."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmvlforge.registry import TRANSFORMS
from mmvlforge.structures import IGNORE, VLDataSample

__all__ = ['PackCaptionInputs', 'PackManipulationInputs']

META_KEYS = ('index', 'img_path', 'ori_shape', 'img_shape', 'orientation', 'flip', 'text', 'fake_cls', 'box_cut')


@TRANSFORMS.register_module()
class PackManipulationInputs(BaseTransform):
    """Pack one image-text pair with its manipulation labels.

    A sub-word token is manipulated iff its word is. Special tokens carry the label -100, which cross-entropy ignores,
    and so do all tokens of a set without word positions (``fake_words`` None).

    Required Keys: input_ids, word_ids, index, text, fake_cls, image_type, text_type, box, fake_words;
    img, img_shape, ori_shape, orientation, gt_bboxes, flip (optional), box_cut (optional) where there is a picture
    Returned Keys: inputs (image uint8 ``(3, H, W)`` BGR, input_ids, word_mask), targets (fields of
    ``ManipulationTargets``), data_samples
    """

    def transform(self, results: dict) -> dict:
        """Pack ``results``."""
        word_ids = results['word_ids']
        known, fake_words = results['fake_words'] is not None, set(results['fake_words'] or [])
        tokens = torch.tensor([int(w in fake_words) if known and w is not None else IGNORE for w in word_ids])
        inputs = dict(
            input_ids=torch.tensor(results['input_ids']),
            word_mask=torch.tensor([w is not None for w in word_ids]),
        )
        box, has_box = np.zeros(4, np.float32), False
        if 'img' in results:
            inputs['image'] = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
            if len(results['gt_bboxes']):
                has_box = True
                x1, y1, x2, y2 = results['gt_bboxes'][0]
                height, width = results['img_shape']
                box = np.array([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height])
        fake = int(results['image_type'] > 0 or results['text_type'] > 0)

        sample = VLDataSample(metainfo={k: results[k] for k in META_KEYS if k in results})
        sample.set_metainfo(dict(word_ids=[w for w in word_ids if w is not None]))
        sample.gt_fake = fake
        sample.gt_image_type = results['image_type']
        sample.gt_text_type = results['text_type']
        if results['box'] is not None:
            sample.gt_box = torch.tensor(results['box'], dtype=torch.float64) if results['box'] else None
        if known:
            sample.gt_tokens = tokens[inputs['word_mask']]
        targets = dict(
            fake=torch.tensor(fake),
            image_type=torch.tensor(results['image_type']),
            text_type=torch.tensor(results['text_type']),
            box=torch.as_tensor(box, dtype=torch.float32),
            has_box=torch.tensor(has_box),
            tokens=tokens,
        )
        return dict(inputs=inputs, targets=targets, data_samples=sample)


@TRANSFORMS.register_module()
class PackCaptionInputs(BaseTransform):
    """Pack a group of F pictures, all of one size, and K captions. Without ``imgs`` there are captions alone.

    Required Keys: imgs (optional), input_ids, word_ids, img_paths, captions, image_id
    Returned Keys: inputs (image uint8 ``(F, 3, H, W)`` BGR; input_ids and word_mask, lists of K tensors), targets
    (fields of ``CaptionTargets``), data_samples

    Args:
        meta_keys: What else the data sample carries, where an item has it. Defaults to what metrics read.
    """

    def __init__(self, meta_keys: Sequence[str] = ('index', 'tag', 'num_main_preds', 'category')) -> None:
        self.meta_keys = ('img_paths', 'captions', 'image_id', *meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack ``results``."""
        images = results.get('imgs', [])
        inputs: dict[str, Tensor | list[Tensor]] = dict(
            input_ids=[torch.tensor(ids) for ids in results['input_ids']],
            word_mask=[torch.tensor([word is not None for word in words]) for words in results['word_ids']],
        )
        if images:
            inputs['image'] = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
        meta = {key: results[key] for key in self.meta_keys if key in results}
        meta.update(num_images=len(images), num_captions=len(results['captions']))
        return dict(
            inputs=inputs,
            targets=dict(image_ids=torch.tensor(results['image_id'])),
            data_samples=VLDataSample(metainfo=meta),
        )
