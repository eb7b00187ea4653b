"""From a list of samples to one batch, in the loader's worker."""

from typing import Optional, Sequence

import torch
from mmengine.dataset import pseudo_collate
from torch.nn.utils.rnn import pad_sequence

from mmvlforge.registry import FUNCTIONS
from mmvlforge.structures import IGNORE, ManipulationTargets, VLInputs


def stack(data: dict) -> dict:
    """Stack pictures and labels, pad captions to the batch's longest.

    Padding ids are 0; the text encoder puts in its own.

    Args:
        data: ``inputs`` and (for a data set with labels) ``targets`` as dicts of lists, ``data_samples`` a list.

    Returns:
        ``inputs`` (VLInputs, pictures still uint8 BGR), ``targets`` (ManipulationTargets or None), ``data_samples``.
    """
    raw = data['inputs']
    input_ids = pad_sequence(raw['input_ids'], batch_first=True)
    lengths = torch.tensor([len(ids) for ids in raw['input_ids']])
    inputs = VLInputs(
        images=torch.stack(raw['image']) if 'image' in raw else None,
        input_ids=input_ids,
        attention_mask=torch.arange(input_ids.shape[1]) < lengths[:, None],
        word_mask=pad_sequence(raw['word_mask'], batch_first=True),
    )
    targets: Optional[ManipulationTargets] = None
    if data.get('targets') is not None:
        labels = {k: torch.stack(v) for k, v in data['targets'].items() if k != 'tokens'}
        tokens = pad_sequence(data['targets']['tokens'], batch_first=True, padding_value=IGNORE)
        targets = ManipulationTargets(tokens=tokens, **labels)
    return dict(inputs=inputs, targets=targets, data_samples=data.get('data_samples'))


@FUNCTIONS.register_module()
def vl_collate(samples: Sequence[dict]) -> dict:
    """Collate what ``PackManipulationInputs`` returns.

    A dozen stacked tensors go from worker to trainer; MMEngine's ``pseudo_collate`` sends a dozen a sample, each
    through a shared-memory handle of its own, which takes longer than reading the pictures.
    """
    return stack(pseudo_collate(samples))
