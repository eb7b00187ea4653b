"""ViLEM: a dual encoder that proofreads (Sections 3.2 and 3.3 of its paper)."""

from torch import Tensor

from mmvlforge.models.dual_encoder import DualEncoder
from mmvlforge.models.proofreading import edit_groups, examine, proofread
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, EditedText, ImageFeatures, Proofreading, VLDataSample, VLInputs


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
        proofread_seed: Seed of the edits that ``predict`` proofreads too, for ``ProofreadingMetric``; None for none.
        **kwargs: As in DualEncoder.

    Raises:
        ValueError: The corruptor edits more words of a caption than the correction head has room for.
    """

    def __init__(
        self,
        corruptor: dict,
        local_path: dict | None = None,
        global_path: dict | None = None,
        detection_head: dict | None = None,
        correction_head: dict | None = None,
        num_edit_layers: int = 6,
        proofread_seed: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.corruptor = MODELS.build(corruptor)
        paths = dict(local=local_path, **{'global': global_path})
        self.paths = {name: MODELS.build(path) for name, path in paths.items() if path}
        self.detection_head = MODELS.build(detection_head) if detection_head else None
        self.correction_head = MODELS.build(correction_head) if correction_head else None
        edits = getattr(self.corruptor, 'max_edits', 0)  # another corruptor need not have a bound
        if self.correction_head is not None and edits > self.correction_head.max_edits:
            room = self.correction_head.max_edits
            raise ValueError(f'corruptor.max_edits {edits} must be at most correction_head.max_edits, which is {room}')
        self.num_edit_layers = num_edit_layers
        self.proofread_seed = proofread_seed

    def loss(self, inputs: VLInputs, targets: CaptionTargets) -> dict[str, Tensor]:
        """All losses of Eq. 13, weighted."""
        image = self.image_encoder(inputs)
        losses = self.align(image, inputs, targets)
        edited = self.corruptor(inputs)
        for name in self.paths:
            losses.update(self.path_loss(name, image, inputs, edited))
        return losses

    def path_loss(self, name: str, image: ImageFeatures, inputs: VLInputs, edited: EditedText) -> dict[str, Tensor]:
        """L_EML (Eq. 12) or L_EMG (Eq. 10), weighted.

        Args:
            name: ``'local'`` or ``'global'``.
            image: The pictures' features.
            inputs: The batch, before the edition.
            edited: Its edited captions.
        """
        tokens = self.read(name, image, inputs._replace(input_ids=edited.input_ids))
        prefix, losses = f'loss_{name}', {}
        if self.detection_head is not None:
            losses.update(self.detection_head.loss(tokens, edited, prefix))
        if self.correction_head is not None:
            losses.update(self.correction_head.loss(tokens, edited, self.text_encoder.word_logits, prefix))
        return {key: self.paths[name].loss_weight * loss for key, loss in losses.items()}

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

    def predict(self, inputs: VLInputs, data_samples: list[VLDataSample]) -> list[VLDataSample]:
        """Fill the features as DualEncoder does, and with a ``proofread_seed`` ``pred_proofreading``."""
        super().predict(inputs, data_samples)
        if self.proofread_seed is not None:
            examine(self, inputs, data_samples, self.proofread_seed)
        return data_samples

    def edit_groups(self, inputs: VLInputs, data_samples: list[VLDataSample], seed: int) -> Tensor:
        """Edited ids of each group's captions ``(B, L)``; see :func:`mmvlforge.models.proofreading.edit_groups`."""
        return edit_groups(self.corruptor, inputs, data_samples, seed)

    def proofread(self, inputs: VLInputs, topk: int = 5, image: ImageFeatures | None = None) -> dict[str, Proofreading]:
        """Find and correct wrong words; see :func:`mmvlforge.models.proofreading.proofread`."""
        return proofread(self, inputs, topk, image)
