"""What ViLEM does beside learning: proofread captions, and be examined on edits (Section 3.2 of its paper)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmvlforge.structures import EditedText, EditExam, ImageFeatures, Proofreading, VLDataSample, VLInputs

if TYPE_CHECKING:
    from mmvlforge.models.vilem import ViLEM

__all__ = ['edit_groups', 'examine', 'proofread']


@torch.no_grad()
def proofread(
    model: 'ViLEM', inputs: VLInputs, topk: int = 5, image: ImageFeatures | None = None
) -> dict[str, Proofreading]:
    """Find and correct wrong words.

    Args:
        model: Should be in evaluation mode.
        inputs: Captions that may be wrong, one a picture.
        topk: Candidates for each token.
        image: Features of the pictures; None encodes those of ``inputs``.

    Returns:
        ``{path: Proofreading}``; what a missing head would say is None.
    """
    image, results = image or model.image_encoder(inputs), {}
    for name in model.paths:
        tokens = model.read(name, image, inputs)
        wrong = words = None
        if model.detection_head is not None:
            wrong = model.detection_head(tokens).float().softmax(dim=-1)[..., 0]
        if model.correction_head is not None:
            logits = model.correction_head(tokens, model.text_encoder.word_logits)
            words = logits.float().softmax(dim=-1).topk(topk)
        results[name] = Proofreading(wrong, words and words.indices, words and words.values)
    return results


@torch.no_grad()
def examine(model: 'ViLEM', inputs: VLInputs, data_samples: list[VLDataSample], seed: int) -> None:
    """Edit captions, proofread them and fill ``pred_proofreading``.

    Args:
        model: Should be in evaluation mode.
        inputs: The batch.
        data_samples: Its records, each with one picture.
        seed: As in :func:`edit_groups`.

    Raises:
        ValueError: A record has another number of pictures, or no caption.
    """
    for sample in data_samples:
        if sample.num_images != 1:
            raise ValueError(f'proofread_seed: sample {sample.index} has {sample.num_images} pictures, must be 1')
        if not sample.num_captions:
            raise ValueError(f'proofread_seed: sample {sample.index} has no caption to proofread; set it to None')
    edited = edit_groups(model.corruptor, inputs, data_samples, seed)
    counts = torch.tensor([sample.num_captions for sample in data_samples], device=edited.device)
    image = model.image_encoder(inputs)
    image = ImageFeatures(
        image.cls.repeat_interleave(counts, dim=0),
        tuple(level.repeat_interleave(counts, dim=0) for level in image.levels),
    )
    readings = proofread(model, inputs._replace(input_ids=edited), image=image)
    changed = edited != inputs.input_ids
    # A corruptor that does not say where it may edit may edit any word.
    editable = model.corruptor.editable(inputs) if hasattr(model.corruptor, 'editable') else inputs.word_mask
    for sample, rows in zip(data_samples, torch.arange(len(edited), device=edited.device).split(counts.tolist())):
        words, edits = inputs.word_mask[rows], changed[rows]
        sample.pred_proofreading = EditExam(
            edited[rows][words].cpu(),
            edits[words].cpu(),
            editable[rows][words].cpu(),
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
def edit_groups(
    corruptor: Callable[[VLInputs], EditedText], inputs: VLInputs, data_samples: list[VLDataSample], seed: int
) -> Tensor:
    """Edit the captions of each group by random numbers of its own: whatever the batch, the edits are the same.

    Args:
        corruptor: Edits captions.
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
            edited[rows, :length] = corruptor(group).input_ids
    return edited
