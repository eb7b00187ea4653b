"""From a list of samples to one batch on the device."""

from typing import Optional, Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch.nn.utils.rnn import pad_sequence

from mmvlforge.registry import MODELS
from mmvlforge.structures import ManipulationTargets, VLInputs

IGNORE = -100


@MODELS.register_module()
class VLDataPreprocessor(BaseDataPreprocessor):
    """Stack pictures, pad captions to the batch's longest, move both to the device, normalise there.

    Pictures travel as uint8 (a quarter of the bytes of float32). Padding ids are 0; the text encoder puts in its own.

    Args:
        mean: Mean of the RGB channels, in 0..1. Defaults to CLIP's.
        std: Standard deviation of the RGB channels, in 0..1. Defaults to CLIP's.
        pad_to_multiple_of: Round the padded length up to a multiple of this, to bound the number of shapes that
            ``torch.compile`` sees. 1 pads to the longest.
        channels_last: Lay pictures out channels-last in memory, faster for convolutional encoders.
        non_blocking: Copy to the device without waiting (needs ``pin_memory`` in the loader to matter).
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.48145466, 0.4578275, 0.40821073),
        std: Sequence[float] = (0.26862954, 0.26130258, 0.27577711),
        pad_to_multiple_of: int = 1,
        channels_last: bool = False,
        non_blocking: Optional[bool] = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.pad_to_multiple_of = pad_to_multiple_of
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def _pad(self, rows: Sequence[torch.Tensor], value: int) -> torch.Tensor:
        padded = pad_sequence(rows, batch_first=True, padding_value=value)
        surplus = -padded.shape[1] % self.pad_to_multiple_of
        return torch.nn.functional.pad(padded, (0, surplus), value=value) if surplus else padded

    def forward(self, data: dict, training: bool = False) -> dict:
        """Collate one batch.

        Args:
            data: ``inputs`` and (for a data set with labels) ``targets`` as dicts of lists, ``data_samples`` a list.
            training: Unused; augmentation is the data set's.

        Returns:
            ``inputs`` (VLInputs), ``targets`` (ManipulationTargets or None) on the device, ``data_samples`` as is.
        """
        raw = data['inputs']
        input_ids = self._pad(raw['input_ids'], 0)
        lengths = torch.tensor([len(ids) for ids in raw['input_ids']])
        inputs = VLInputs(
            images=torch.stack(raw['image']) if 'image' in raw else None,
            input_ids=input_ids,
            attention_mask=torch.arange(input_ids.shape[1]) < lengths[:, None],
            word_mask=self._pad(raw['word_mask'], False),
        )
        targets = data.get('targets')
        if targets is not None:
            tokens = self._pad(targets['tokens'], IGNORE)
            others = {k: torch.stack(v) for k, v in targets.items() if k != 'tokens'}
            targets = ManipulationTargets(tokens=tokens, **others)
        inputs, targets = self.cast_data((inputs, targets))
        if inputs.images is not None:
            rgb = inputs.images.flip(1).float()
            images = ((rgb - self.mean) / self.std).contiguous(memory_format=self.memory_format)
            inputs = inputs._replace(images=images)
        return dict(inputs=inputs, targets=targets, data_samples=data.get('data_samples'))
