"""What the neck hands to the heads."""

from typing import NamedTuple

from torch import Tensor


class FusedFeatures(NamedTuple):
    """Features after modality interaction (Eq. 3 of the manipulation paper), of which every head takes its part.

    B samples, N image patches, M text tokens ([CLS] left out), C channels.

    Attributes:
        image_cls: i_cls ``(B, C)``.
        image_patches: i_pat ``(B, N, C)``.
        text_cls: t_cls ``(B, C)``.
        text_tokens: t_tok ``(B, M, C)``.
        word_mask: True where a text token belongs to a word, bool ``(B, M)``.
    """

    image_cls: Tensor
    image_patches: Tensor
    text_cls: Tensor
    text_tokens: Tensor
    word_mask: Tensor
