"""One batch: what a model reads, and what it is taught."""

from typing import NamedTuple

from torch import Tensor

__all__ = ['IGNORE', 'CaptionTargets', 'ManipulationTargets', 'VLInputs', 'is_encoded']

IGNORE = -100  # label of tokens that never count; cross-entropy's own


class VLInputs(NamedTuple):
    """One batch of image-text pairs, as the data preprocessor hands it over.

    B pairs, L sub-word tokens of the batch's longest caption. A batch of groups (retrieval) holds all their pictures
    and all their captions end to end, so that B differs between both; ``num_images`` and ``num_captions`` of the data
    samples tell where each group ends.

    Attributes:
        images: Pictures ``(B, 3, H, W)``, normalised RGB float for the model, BGR uint8 on the way from the loader;
            None where no picture was loaded. Or what a frozen image encoder has made of them before, T tokens of C
            channels as ``(B, 1, T, C)`` (:func:`is_encoded`).
        input_ids: Token ids with special tokens, int64 ``(B, L)``.
        attention_mask: True at every token that is not padding, bool ``(B, L)``.
        word_mask: True at every token that belongs to a word, that is neither padding nor special, bool ``(B, L)``.
    """

    images: Tensor | None
    input_ids: Tensor
    attention_mask: Tensor
    word_mask: Tensor


def is_encoded(images: Tensor) -> bool:
    """Whether ``VLInputs.images`` are tokens already: pictures have three channels."""
    return images.shape[1] == 1


class ManipulationTargets(NamedTuple):
    """Labels of one batch, stacked by the data preprocessor (one transfer, no synchronisation in the heads).

    Attributes:
        fake: 1 if either modality is manipulated, int64 ``(B,)`` (y_b of Eq. 5).
        image_type: Class of the image branch, 0 = real, int64 ``(B,)`` (y_i of Eq. 4).
        text_type: Class of the text branch, 0 = real, int64 ``(B,)`` (y_t of Eq. 4).
        box: Manipulated region, cxcywh divided by the width and height of the network's picture, float32
            ``(B, 4)``, zeros without a region (y_mig of Eq. 7).
        has_box: True where there is a manipulated region, bool ``(B,)``.
        tokens: 1 = manipulated, 0 = original, -100 = special or padding, int64 ``(B, L)`` (y_mtg of Eq. 8).
    """

    fake: Tensor
    image_type: Tensor
    text_type: Tensor
    box: Tensor
    has_box: Tensor
    tokens: Tensor


class CaptionTargets(NamedTuple):
    """Which pairs of a batch, or of a queue, share their picture.

    Attributes:
        image_ids: Number of each item's image, equal for all captions of one image, int64 ``(B,)``.
    """

    image_ids: Tensor
