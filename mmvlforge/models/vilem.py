"""ViLEM: a dual encoder that proofreads."""

import torch
from torch import Tensor

from mmvlforge.models.dual_encoder import DualEncoder
from mmvlforge.registry import MODELS
from mmvlforge.structures import (
    CaptionTargets,
    EditedText,
    EditExam,
    ImageFeatures,
    Proofreading,
    VLDataSample,
    VLInputs,
)


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

    def predict(self, inputs: VLInputs, data_samples: list[VLDataSample]) -> list[VLDataSample]:
        """Fill the features as DualEncoder does, and with a ``proofread_seed`` ``pred_proofreading``."""
        super().predict(inputs, data_samples)
        if self.proofread_seed is not None:
            self.examine(inputs, data_samples)
        return data_samples

    @torch.no_grad()
    def examine(self, inputs: VLInputs, data_samples: list[VLDataSample]) -> None:
        """Edit captions, proofread them and fill ``pred_proofreading``; each group must have one picture."""
        for sample in data_samples:
            if sample.num_images != 1:
                raise ValueError(f'proofread_seed: sample {sample.index} has {sample.num_images} pictures, must be 1')
        edited = self.edit_groups(inputs, data_samples, self.proofread_seed)
        counts = torch.tensor([sample.num_captions for sample in data_samples], device=edited.device)
        image = self.image_encoder(inputs)
        image = ImageFeatures(
            image.cls.repeat_interleave(counts, dim=0),
            tuple(level.repeat_interleave(counts, dim=0) for level in image.levels),
        )
        readings = self.proofread(inputs._replace(input_ids=edited), image=image)
        changed = edited != inputs.input_ids
        for sample, rows in zip(data_samples, torch.arange(len(edited), device=edited.device).split(counts.tolist())):
            words, edits = inputs.word_mask[rows], changed[rows]
            sample.pred_proofreading = EditExam(
                edited[rows][words].cpu(),
                edits[words].cpu(),
                inputs.input_ids[rows][edits].cpu(),
                {
                    name: (
                        None if reading.wrong is None else reading.wrong[rows][words].cpu(),
                        None if reading.candidates is None else reading.candidates[rows][edits].cpu(),
                    )
                    for name, reading in readings.items()
                },
            )

    @torch.no_grad()
    def edit_groups(self, inputs: VLInputs, data_samples: list[VLDataSample], seed: int) -> Tensor:
        """Edit the captions of each group by random numbers of its own: whatever the batch, the edits are the same.

        Args:
            inputs: The batch.
            data_samples: Its records.
            seed: To which a group's index is added.

        Returns:
            Edited ids ``(B, L)``.
        """
        edited, start = inputs.input_ids.clone(), 0
        for sample in data_samples:
            rows = slice(start, start + sample.num_captions)
            start = rows.stop
            length = int(inputs.attention_mask[rows].sum(dim=1).max())
            group = VLInputs(None, *(part[rows, :length] for part in inputs[1:]))
            with torch.random.fork_rng([edited.device] if edited.is_cuda else []):
                torch.manual_seed(seed + sample.index)
                edited[rows, :length] = self.corruptor(group).input_ids
        return edited

    @torch.no_grad()
    def proofread(self, inputs: VLInputs, topk: int = 5, image: ImageFeatures | None = None) -> dict[str, Proofreading]:
        """Find and correct wrong words. The model should be in evaluation mode.

        Args:
            inputs: Captions that may be wrong, one a picture.
            topk: Candidates for each token.
            image: Features of the pictures; None encodes those of ``inputs``.

        Returns:
            ``{path: Proofreading}``; what a missing head would say is None.
        """
        image, results = image or self.image_encoder(inputs), {}
        for name in self.paths:
            tokens = self.read(name, image, inputs)
            wrong = words = None
            if self.detection_head is not None:
                wrong = self.detection_head(tokens).float().softmax(dim=-1)[..., 0]
            if self.correction_head is not None:
                logits = self.correction_head(tokens, self.text_encoder.word_logits)
                words = logits.float().softmax(dim=-1).topk(topk)
            results[name] = Proofreading(wrong, words and words.indices, words and words.values)
        return results
