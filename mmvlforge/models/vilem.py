"""ViLEM: a dual encoder that proofreads."""

from typing import Dict, Optional

import torch
from torch import Tensor

from mmvlforge.models.dual_encoder import DualEncoder
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, EditedText, ImageFeatures, Proofreading, VLInputs


@MODELS.register_module()
class ViLEM(DualEncoder):
    """Visual-language error modelling (Sections 3.2 and 3.3 of the paper).

    L = L_align + λ1 L_EML + λ2 L_EMG (Eq. 13). Captions are edited, and the first M_1 layers of the text encoder find
    and correct the edits with the picture's help, by two paths that share the heads. The picture is encoded once for
    all three losses. A path or a head that is None is left out (Table 5).

    Args:
        corruptor: Edits captions; reads VLInputs, returns EditedText.
        local_path: How the text encoder sees the patches (L_EML), such as LocalPath.
        global_path: How it sees the whole picture (L_EMG), such as GlobalPath.
        detection_head: L_det, Eq. 8.
        correction_head: L_cor, Eq. 9.
        num_edit_layers: M_1.
        **kwargs: As in DualEncoder.
    """

    def __init__(
        self,
        corruptor: dict,
        local_path: Optional[dict] = None,
        global_path: Optional[dict] = None,
        detection_head: Optional[dict] = None,
        correction_head: Optional[dict] = None,
        num_edit_layers: int = 6,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.corruptor = MODELS.build(corruptor)
        paths = dict(local=local_path, **{'global': global_path})
        self.paths = {name: MODELS.build(path) for name, path in paths.items() if path}
        self.detection_head = MODELS.build(detection_head) if detection_head else None
        self.correction_head = MODELS.build(correction_head) if correction_head else None
        self.num_edit_layers = num_edit_layers

    def loss(self, inputs: VLInputs, targets: CaptionTargets) -> Dict[str, Tensor]:
        """All losses of Eq. 13, weighted."""
        image = self.image_encoder(inputs)
        losses = self.align(image, inputs, targets)
        edited = self.corruptor(inputs)
        for name in self.paths:
            losses.update(self.path_loss(name, image, inputs, edited))
        return losses

    def path_loss(self, name: str, image: ImageFeatures, inputs: VLInputs, edited: EditedText) -> Dict[str, Tensor]:
        """L_EML (Eq. 12) or L_EMG (Eq. 10), weighted.

        Args:
            name: ``'local'`` or ``'global'``.
            image: The pictures' features.
            inputs: The batch, before the edition.
            edited: Its edited captions.
        """
        tokens = self.read(name, image, inputs._replace(input_ids=edited.input_ids))
        weight, losses = self.paths[name].loss_weight, {}
        for head in (self.detection_head, self.correction_head):
            if head is not None:
                for key, loss in head.loss(tokens, edited, self.text_encoder.word_logits).items():
                    losses[key.replace('loss_', f'loss_{name}_')] = weight * loss
        return losses

    def read(self, name: str, image: ImageFeatures, inputs: VLInputs, **kwargs) -> Tensor:
        """Read captions with the pictures in view: the output of text layer M_1 ``(B, L, C)``.

        Args:
            name: The path, ``'local'`` or ``'global'``.
            image: Features of the pictures, one a caption.
            inputs: The captions.
            **kwargs: As in the text encoder, such as ``return_attention``.
        """
        view = self.paths[name](image, self.num_edit_layers)
        return self.text_encoder(inputs, self.num_edit_layers, **view, **kwargs)

    @torch.no_grad()
    def proofread(self, inputs: VLInputs, topk: int = 5) -> Dict[str, Proofreading]:
        """Find and correct wrong words. The model should be in evaluation mode, and have both heads.

        Args:
            inputs: Captions that may be wrong, one a picture.
            topk: Candidates for each token.

        Returns:
            ``{path: Proofreading}``.
        """
        image, results = self.image_encoder(inputs), {}
        for name in self.paths:
            tokens = self.read(name, image, inputs)
            words = self.correction_head(tokens, self.text_encoder.word_logits).float().softmax(dim=-1).topk(topk)
            wrong = self.detection_head(tokens).float().softmax(dim=-1)[..., 0]
            results[name] = Proofreading(wrong, words.indices, words.values)
        return results
