"""Where ViLEM looks in the picture for each word (Fig. 3 of its paper)."""

import torch
from torch import Tensor

from mmvlforge.models.vilem import ViLEM
from mmvlforge.structures import ImageFeatures, VLInputs

__all__ = ['word_patch_maps']


def word_patch_maps(model: ViLEM, inputs: VLInputs, path: str = 'local', layer: int | None = None) -> Tensor:
    """Grad-CAM on the cross-attention, for each word of a caption.

    The paper names Grad-CAM and the cross-attention, not the score. Here the score of a word is the log-odds that error
    detection gives to its being right, so the map shows the patches that speak for the word. For word t, with A the
    attention weights of a layer ``(heads, L, N)``: map = mean over the heads of max(∂score / ∂A, 0) · A, row t.

    Args:
        model: In evaluation mode, with a detection head.
        inputs: One picture and one caption.
        path: The path, one with a cross-attention.
        layer: Which layer's weights, from 0; None sums the layers' maps, each scaled to a largest value of 1.

    Returns:
        ``(T, N)`` for the T word tokens, at least 0.

    Raises:
        ValueError: The model has no such path, layer or head.
    """
    if path not in model.paths:
        raise ValueError(f'path {path!r}: this model has {", ".join(model.paths) or "none"}')
    if model.detection_head is None:
        raise ValueError('word_patch_maps needs a model with a detection_head')
    places = inputs.word_mask[0].nonzero()[:, 0]
    count = len(places)
    with torch.no_grad():
        image = model.image_encoder(inputs)
    # Copy t of the caption answers for word t: one backward pass for all words.
    copies = VLInputs(None, *(part.expand(count, -1) for part in inputs[1:]))
    views = ImageFeatures(image.cls.expand(count, -1), tuple(level.expand(count, -1, -1) for level in image.levels))
    with torch.enable_grad():
        tokens, attention = model.read(path, views, copies, return_attention=True)
        if not attention:
            raise ValueError(f'path {path!r} has no cross-attention')
        wrong, kept = model.detection_head(tokens)[range(count), places].float().unbind(dim=-1)
        gradients = torch.autograd.grad((kept - wrong).sum(), attention)
    num_patches = image.levels[0].shape[1]  # a path may put other tokens before the patches
    maps = [
        (gradient.clamp(min=0) * weights).detach()[range(count), :, places, -num_patches:].mean(dim=1)
        for gradient, weights in zip(gradients, attention)
    ]
    if layer is None:
        return sum(part / part.amax(dim=1, keepdim=True).clamp(min=1e-12) for part in maps)
    if not 0 <= layer < len(maps):
        raise ValueError(f'layer must be 0 to {len(maps) - 1}, got {layer}')
    return maps[layer]
