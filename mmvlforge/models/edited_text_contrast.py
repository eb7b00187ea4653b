"""Edited captions as hard negatives."""

from torch import Tensor

from mmvlforge.models.dual_encoder import DualEncoder, project_text
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, VLInputs


@MODELS.register_module()
class EditedTextContrast(DualEncoder):
    """Table 7, C: the contrastive baseline, in which each picture has its own edited caption as one more negative.

    Args:
        corruptor: Edits captions; reads VLInputs, returns EditedText.
        **kwargs: As in DualEncoder.
    """

    def __init__(self, corruptor: dict, **kwargs) -> None:
        super().__init__(**kwargs)
        self.corruptor = MODELS.build(corruptor)

    def loss(self, inputs: VLInputs, targets: CaptionTargets) -> dict[str, Tensor]:
        """L_align of one batch. A caption without an edit is no negative."""
        edited = self.corruptor(inputs)
        edits = inputs._replace(input_ids=edited.input_ids)
        return self.align(
            self.image_encoder(inputs),
            inputs,
            targets,
            hard_texts=project_text(self, self.text_encoder(edits), edits),
            hard_mask=(edited.detection == 0).any(dim=1),
        )
