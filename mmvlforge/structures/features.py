"""What encoders and necks hand on, and what a dual encoder compares."""

from typing import NamedTuple

from torch import Tensor

__all__ = ['FusedFeatures', 'ImageFeatures', 'RetrievalFeatures']


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


class ImageFeatures(NamedTuple):
    """Features of a batch of pictures, the intermediate ones included (Section 3.2.3 of the ViLEM paper).

    B pictures, N patches, C channels.

    Attributes:
        cls: h^v, the global feature ``(B, C)``.
        levels: H^v, the patches after each block of the encoder, the lowest first, each ``(B, N, C)``.
    """

    cls: Tensor
    levels: tuple[Tensor, ...]


class RetrievalFeatures(NamedTuple):
    """z^v and z^t of Section 3.1 of the ViLEM paper; each row has length 1, a dot product is a cosine.

    Attributes:
        image: Of each picture ``(pictures, D)``.
        text: Of each caption ``(captions, D)``.
    """

    image: Tensor
    text: Tensor
