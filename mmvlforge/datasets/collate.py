"""From a list of samples to one batch, in the loader's worker."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmvlforge.registry import FUNCTIONS
from mmvlforge.structures import IGNORE, CaptionTargets, ManipulationTargets, VLInputs


def stack(data: dict) -> dict:
    """Stack pictures and labels, pad captions to the batch's longest.

    An item is one pair (``image`` ``(3, H, W)``, ``input_ids`` and ``word_mask`` one tensor each), or a group of F
    pictures and K captions (``image`` ``(F, 3, H, W)``, the others lists of K tensors). Groups are laid end to end.
    Padding ids are 0; the text encoder puts in its own. A batch of pictures alone has captions of shape ``(0, 0)``.

    Args:
        data: ``inputs`` and (for a data set with labels) ``targets`` as dicts of lists, ``data_samples`` a list.

    Returns:
        ``inputs`` (VLInputs, pictures still uint8 BGR), ``targets`` (ManipulationTargets, CaptionTargets or None),
        ``data_samples``.
    """
    raw = data['inputs']
    captions = _flat(raw['input_ids'])
    input_ids = _pad(captions, torch.int64)
    lengths = torch.tensor([len(ids) for ids in captions])
    inputs = VLInputs(
        images=torch.cat([image.view(-1, *image.shape[-3:]) for image in raw['image']]) if 'image' in raw else None,
        input_ids=input_ids,
        attention_mask=torch.arange(input_ids.shape[1]) < lengths[:, None],
        word_mask=_pad(_flat(raw['word_mask']), torch.bool),
    )
    targets = None if data.get('targets') is None else _stack_targets(data['targets'])
    return dict(inputs=inputs, targets=targets, data_samples=data.get('data_samples'))


def _pad(captions: list[Tensor], dtype: torch.dtype) -> Tensor:
    return pad_sequence(captions, batch_first=True) if captions else torch.zeros(0, 0, dtype=dtype)


def _flat(groups: Sequence[Tensor | list[Tensor]]) -> list[Tensor]:
    return [ids for group in groups for ids in (group if isinstance(group, list) else [group])]


def _stack_targets(labels: dict) -> ManipulationTargets | CaptionTargets:
    if 'image_ids' in labels:
        return CaptionTargets(torch.stack(labels['image_ids']))
    stacked = {k: torch.stack(v) for k, v in labels.items() if k != 'tokens'}
    return ManipulationTargets(tokens=pad_sequence(labels['tokens'], batch_first=True, padding_value=IGNORE), **stacked)


@FUNCTIONS.register_module()
def vl_collate(samples: Sequence[dict], _scope_: str | None = None) -> dict:
    """Collate what ``PackManipulationInputs`` or ``PackCaptionInputs`` returns.

    A dozen stacked tensors go from worker to trainer; MMEngine's ``pseudo_collate`` sends a dozen a sample, each
    through a shared-memory handle of its own, which takes longer than reading the pictures.

    Args:
        samples: Items of one batch.
        _scope_: Not used. MMEngine hands it over where a config has its base by name (``'mmvlforge::...'``).
    """
    first = samples[0]
    data = {part: {k: [s[part][k] for s in samples] for k in first[part]} for part in ('inputs', 'targets')}
    return stack(dict(data, data_samples=[s['data_samples'] for s in samples]))
