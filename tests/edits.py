"""Edits that need no language model."""

import torch
from torch import nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, EditedText, VLInputs


@MODELS.register_module()
class EveryOtherWord(nn.Module):
    """Replaces every other word by the next one of the vocabulary; none where ``edit`` is False."""

    def __init__(self, vocab_size: int = 50, edit: bool = True) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.edit = edit

    def forward(self, inputs: VLInputs) -> EditedText:
        """Edit a batch."""
        ids = inputs.input_ids
        chosen = inputs.word_mask & (torch.arange(ids.shape[1], device=ids.device) % 2 == 1) & self.edit
        return EditedText(
            torch.where(chosen, (ids + 1) % self.vocab_size, ids),
            (~chosen).long().masked_fill(~inputs.word_mask, IGNORE),
            ids.masked_fill(~chosen, IGNORE),
        )
