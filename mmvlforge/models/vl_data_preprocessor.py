"""One batch to the device, normalised there."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor

from mmvlforge.datasets.collate import stack
from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, ManipulationTargets, VLInputs, is_encoded


@MODELS.register_module()
class VLDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device and normalise its pictures there: uint8 is a quarter of the bytes of float32.

    What a frozen image encoder has made of pictures before (LoadImageFeatures) only becomes float32.

    Args:
        mean: Mean of the RGB channels, in 0..1. Defaults to CLIP's.
        std: Standard deviation of the RGB channels, in 0..1. Defaults to CLIP's.
        pad_to_multiple_of: Round the padded length of captions up to a multiple of this, to bound the number of
            shapes that ``torch.compile`` sees. 1 leaves the batch's longest.
        channels_last: Lay pictures out channels-last in memory, faster for convolutional encoders.
        non_blocking: Copy to the device without waiting (needs ``pin_memory`` in the loader to matter).
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.48145466, 0.4578275, 0.40821073),
        std: Sequence[float] = (0.26862954, 0.26130258, 0.27577711),
        pad_to_multiple_of: int = 1,
        channels_last: bool = False,
        non_blocking: bool | None = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.pad_to_multiple_of = pad_to_multiple_of
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare one batch.

        Args:
            data: From ``vl_collate``, or pairs from MMEngine's ``pseudo_collate``, and then stacked here.
            training: Unused; augmentation is the data set's.

        Returns:
            ``inputs`` (VLInputs), ``targets`` (as from ``stack``) on the device, ``data_samples`` as is.
        """
        if not isinstance(data['inputs'], VLInputs):
            data = stack(data)
        inputs, targets = self.cast_data((data['inputs'], data['targets']))
        surplus = -inputs.input_ids.shape[1] % self.pad_to_multiple_of
        if surplus:
            names = ('input_ids', 'attention_mask', 'word_mask')
            inputs = inputs._replace(**{name: F.pad(getattr(inputs, name), (0, surplus)) for name in names})
            if isinstance(targets, ManipulationTargets):
                targets = targets._replace(tokens=F.pad(targets.tokens, (0, surplus), value=IGNORE))
        if inputs.images is not None and is_encoded(inputs.images):
            inputs = inputs._replace(images=inputs.images.float())
        elif inputs.images is not None:
            rgb = inputs.images.flip(1).float()
            images = ((rgb - self.mean) / self.std).contiguous(memory_format=self.memory_format)
            inputs = inputs._replace(images=images)
        return dict(inputs=inputs, targets=targets, data_samples=data['data_samples'])
