"""What a vision-language model reads: one batch of pictures and captions."""

from typing import NamedTuple, Optional

from torch import Tensor


class VLInputs(NamedTuple):
    """One batch of image-text pairs, as the data preprocessor hands it over.

    B pairs, L sub-word tokens of the batch's longest caption. A batch of groups (retrieval) holds all their pictures
    and all their captions end to end, so that B differs between both; ``num_images`` and ``num_captions`` of the data
    samples tell where each group ends.

    Attributes:
        images: Pictures ``(B, 3, H, W)``, normalised RGB float for the model, BGR uint8 on the way from the loader;
            None where no picture was loaded.
        input_ids: Token ids with special tokens, int64 ``(B, L)``.
        attention_mask: True at every token that is not padding, bool ``(B, L)``.
        word_mask: True at every token that belongs to a word, that is neither padding nor special, bool ``(B, L)``.
    """

    images: Optional[Tensor]
    input_ids: Tensor
    attention_mask: Tensor
    word_mask: Tensor
