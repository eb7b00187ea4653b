"""The last transform of retrieval: what the model reads, and the record for the evaluator."""

from typing import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmvlforge.registry import TRANSFORMS
from mmvlforge.structures import VLDataSample


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
        inputs = dict(
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
