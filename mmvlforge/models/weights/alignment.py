"""Initialisers that fill a dual encoder's projections without gradients: ConSE, and ridge regression in closed form.

The shared space is the text encoder's own, centred: text_proj is the identity, so that D = C_t. What is fitted is
image_proj.

n pictures, C_v channels of their global feature, C_t of a sentence's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_weight

from mmvlforge.datasets.transforms import CaptionTokenizer, CleanCaptions
from mmvlforge.evaluation.retrieval import image_text_metrics
from mmvlforge.models.dual_encoder import pool_text
from mmvlforge.registry import WEIGHT_INITIALIZERS
from mmvlforge.structures import VLDataSample, VLInputs

__all__ = [
    'PENALTIES',
    'Aligned',
    'ClassNameAlignment',
    'RidgeAlignment',
    'RidgeFit',
    'RidgeSums',
    'encode_pairs',
    'fit_ridge',
    'unit',
    'widths',
]

PENALTIES = (10, 30, 100, 300, 1000, 3000, 10000)
_BLOCK = 256  # rows that are summed together, however they come
_HOLDOUT_MOST = 1000  # pictures; more would tell two penalties apart no better


def unit(rows: Tensor) -> np.ndarray:
    """Rows brought to length 1."""
    return nn.functional.normalize(rows, dim=-1).cpu().numpy()


def widths(net: Any, projection: str = 'image_proj') -> tuple[int, int]:
    """C_v and C_t of a dual encoder; a feature that it takes as it is, without a map, has its ``embed_dims``."""
    maps = net.get_submodule(projection), net.text_proj
    image, text = (getattr(proj, 'in_features', None) or net.embed_dims for proj in maps)
    return image, text


def check_maps(net: Any, image_dims: int, text_dims: int, projection: str = 'image_proj') -> None:
    """Raise ValueError if what :func:`fill` sets are no maps of these widths, with biases."""
    last = image_dims if projection == 'image_proj' else text_dims
    for name, dims in {projection: image_dims, 'image_proj': last, 'text_proj': text_dims}.items():
        proj = net.get_submodule(name)
        if getattr(proj, 'bias', None) is None or proj.weight.shape != (text_dims, dims):
            raise ValueError(
                f'{name} {proj} cannot be filled by this alignment, which makes a map from {dims} to {text_dims} '
                f'channels: set image_dims={last}, text_dims={text_dims} and embed_dims={text_dims}, and proj_bias=True'
            )


def fill(net: Any, weight: Tensor, image_bias: Tensor, text_mean: Tensor, projection: str = 'image_proj') -> None:
    """Set both projections of a dual encoder.

    Args:
        net: The dual encoder.
        weight: ``(C_t, C_v)``.
        image_bias: ``(C_t,)``.
        text_mean: What is taken from every sentence ``(C_t,)``.
        projection: The linear map of the picture's features that is set. If it is another one than ``image_proj``,
            that one becomes the identity.

    Raises:
        ValueError: As :func:`check_maps`.
    """
    text_dims, image_dims = weight.shape
    check_maps(net, image_dims, text_dims, projection)
    same = torch.eye(text_dims)
    maps = {'image_proj': (same, torch.zeros(text_dims)), 'text_proj': (same, -text_mean)}
    with torch.no_grad():
        for name, (values, bias) in (maps | {projection: (weight, image_bias)}).items():
            module: Any = net.get_submodule(name)
            module.weight.copy_(values)
            module.bias.copy_(bias)


@WEIGHT_INITIALIZERS.register_module()
class ClassNameAlignment:
    """ConSE (Norouzi et al., ICLR 2014): a picture is the mean of its classes' names, weighed by their probabilities.

    For a DualEncoder whose global image feature are class probabilities (ClassProbabilityEncoder); it needs no pair of
    picture and caption. Both sides are centred at the mean over all classes.

    Args:
        tokenizer: As ``name`` of CaptionTokenizer.
        class_names: Of the classifier's outputs in their order; or the name of a weight enum of torchvision, whose
            public metadata has them.
        template: Sentence that a name is put in.
        max_words: As in the pipeline's CleanCaptions.
    """

    def __init__(
        self,
        tokenizer: str,
        class_names: str | Sequence[str] = 'EfficientNet_B0_Weights.IMAGENET1K_V1',
        template: str = 'a photo of a {}',
        max_words: int = 35,
    ) -> None:
        self.class_names = list(
            get_weight(class_names).meta['categories'] if isinstance(class_names, str) else class_names
        )
        self.template = template
        self.clean, self.tokenize = CleanCaptions(max_words), CaptionTokenizer(tokenizer)

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> None:
        """Fill ``module``, a DualEncoder whose encoders are initialised."""
        net: Any = module
        sentences = dict(captions=[self.template.format(name) for name in self.class_names])
        ids = self.tokenize(self.clean(sentences))['input_ids']
        training = net.text_encoder.training
        net.text_encoder.eval()
        rows = []
        for start in range(0, len(ids), _BLOCK):
            some = [torch.tensor(row) for row in ids[start : start + _BLOCK]]
            padded = nn.utils.rnn.pad_sequence(some, batch_first=True)
            mask = torch.arange(padded.shape[1]) < torch.tensor([len(row) for row in some])[:, None]
            device = next(net.parameters()).device
            inputs = VLInputs(None, padded.to(device), mask.to(device), mask.to(device))
            rows.append(pool_text(net, net.text_encoder(inputs), inputs).double().cpu())
        net.text_encoder.train(training)
        classes = torch.cat(rows)
        mean = classes.mean(dim=0)
        fill(net, classes.T.float(), -mean.float(), mean.float())


class RidgeSums:
    """Sums over pairs of features, in float64: all that ridge regression needs of them.

    Rows are gathered to blocks of a fixed size before they are summed: the sums are the same to the last bit however
    the rows came in.

    Args:
        image_dims: C_v.
        text_dims: C_t.
    """

    def __init__(self, image_dims: int, text_dims: int) -> None:
        self.dims = image_dims
        size = 1 + image_dims
        # Of the rows (1, x, y): the first line holds the number and the sums.
        self.moments = torch.zeros(size, size + text_dims, dtype=torch.float64)
        self._waiting: list[Tensor] = []

    def add(self, images: Tensor, texts: Tensor) -> None:
        """Count more pairs, ``(n, C_v)`` and ``(n, C_t)``. Raises ValueError where a value is not finite."""
        rows = torch.cat([torch.ones(len(images), 1), images, texts], dim=1).double().cpu()
        if not rows.isfinite().all():
            raise ValueError('features to align are not finite')
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= _BLOCK:
            *blocks, rest = torch.cat(self._waiting).split(_BLOCK)
            self._waiting = [rest]
            for block in blocks:
                self.moments += self._products(block)

    def _products(self, rows: Tensor) -> Tensor:
        rows = rows.clone()  # the last bit of a product depends on where in memory its factors begin
        return rows[:, : 1 + self.dims].T @ rows

    def total(self, *others: 'RidgeSums') -> Tensor:
        """The moments, those of others added."""
        found = self.moments.clone()
        if self._waiting:
            found += self._products(torch.cat(self._waiting))
        for other in others:
            found += other.total()
        return found


class RidgeFit(NamedTuple):
    """The solution for any penalty λ of W = argmin Σ |W (x - x̄) - (y - ȳ)|² + λ |W|².

    Attributes:
        image_mean: x̄ ``(C_v,)``.
        text_mean: ȳ ``(C_t,)``.
        values: Eigenvalues of Σ (x - x̄)(x - x̄)ᵀ ``(C_v,)``.
        vectors: Its eigenvectors, in columns ``(C_v, C_v)``.
        cross: Σ (x - x̄)(y - ȳ)ᵀ in their base ``(C_v, C_t)``.
    """

    image_mean: Tensor
    text_mean: Tensor
    values: Tensor
    vectors: Tensor
    cross: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> 'RidgeFit':
        """From the moments of :meth:`RidgeSums.total`."""
        size = len(moments)
        count = moments[0, 0]
        means = moments[0, 1:] / count
        central = moments[1:, 1:] - count * torch.outer(means[: size - 1], means)
        values, vectors = torch.linalg.eigh(central[:, : size - 1])
        cross = vectors.T @ central[:, size - 1 :]
        return cls(means[: size - 1], means[size - 1 :], values.clamp(min=0), vectors, cross)

    def weight(self, penalty: float) -> Tensor:
        """W ``(C_t, C_v)``."""
        return (self.vectors @ (self.cross / (self.values + penalty)[:, None])).T


@WEIGHT_INITIALIZERS.register_module()
class RidgeAlignment:
    """Ridge regression from the global feature of pictures to the mean feature of their captions, in closed form.

    The penalty λ is the one of the best RSUM on a part of the pictures that is held out; then all are fitted.

    Args:
        dataloader: Config of a loader of a RetrievalDataset of the pictures and captions.
        penalties: λ to choose from.
        holdout: Share of the pictures that is held out, of 1,000 at most; with one penalty none is.
        seed: Draws the pictures that are held out.
        features: The module whose first token is regressed, such as ``'image_encoder.stem'`` of a HybridImageEncoder;
            None for the global feature of the whole image encoder.
        projection: The linear map that is fitted, such as ``'image_encoder.stem_proj'``; see :func:`fill`.
        keep: File in which the solution is kept, for further runs of the same encoders and settings. Pictures or
            captions that are changed under the same names are not noticed.
    """

    def __init__(
        self,
        dataloader: dict,
        penalties: Sequence[float] = PENALTIES,
        holdout: float = 0.1,
        seed: int = 0,
        features: str | None = None,
        projection: str = 'image_proj',
        keep: str | None = None,
    ) -> None:
        if not penalties or min(penalties) <= 0 or not 0 < holdout < 1:
            raise ValueError(
                f'RidgeAlignment: needs penalties above 0 and a holdout between 0 and 1, got {penalties} and {holdout}'
            )
        self.dataloader, self.penalties, self.holdout, self.seed = dataloader, list(penalties), holdout, seed
        self.features, self.projection, self.keep = features, projection, keep

    def __call__(self, module: nn.Module) -> None:
        """Fill ``module``, a DualEncoder whose encoders are initialised; torch's own randomness stays as it was.

        Raises:
            ValueError: As in :func:`fit_ridge`, or ``keep`` is of other encoders or settings.
        """
        net: Any = module
        with torch.random.fork_rng(devices=[]):  # starting workers draws a number
            loader = Runner.build_dataloader(self.dataloader)
            first = self._first(net, loader) if self.keep else {}
            if self.keep and Path(self.keep).is_file():
                fill(net, *self._kept(first), self.projection)
                print_log(f'ridge regression, read from {self.keep}', logger='current')
                return
            solution, told = solve_ridge(
                net, loader, self.penalties, self.holdout, self.seed, self.features, self.projection
            )
            fill(net, *solution, self.projection)
            print_log(str(told), logger='current')
            if self.keep and is_main_process():
                new = Path(f'{self.keep}.new')
                new.parent.mkdir(parents=True, exist_ok=True)
                save_file(solution._asdict() | first, new, dict(settings=self._settings()))
                new.replace(self.keep)

    def _first(self, net: Any, loader: Iterable) -> dict[str, Tensor]:
        """Features of the first pictures and captions, by which encoders are told apart."""
        images, captions, _ = next(iter(encode_pairs(net, loader, self.features)))
        return dict(first_images=images.contiguous(), first_captions=torch.cat(captions))

    def _kept(self, first: dict[str, Tensor]) -> 'Solution':
        with safe_open(self.keep, 'pt') as file:
            settings = (file.metadata() or {}).get('settings')
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dict)
        if settings != self._settings():
            raise ValueError(
                f'{self.keep}: was fitted with the settings {settings}, not {self._settings()}; delete it, or name '
                'another file'
            )
        for key, features in first.items():
            kept = found.pop(key)
            if kept.shape != features.shape or not torch.allclose(kept, features, atol=1e-3, rtol=1e-2):
                raise ValueError(
                    f'{self.keep}: was fitted to other encoders or captions; delete it, or name another file'
                )
        return Solution(**found)

    def _settings(self) -> str:
        return json.dumps([self.dataloader, self.penalties, self.holdout, self.seed, self.features], default=str)


class Aligned(NamedTuple):
    """What a fit has chosen.

    Attributes:
        penalty: λ.
        held_out: Indices of the pictures that it was chosen on; empty with one penalty.
        scores: Metrics on them by penalty, of a fit to the others.
    """

    penalty: float
    held_out: list[int]
    scores: dict[float, dict[str, float]]

    def __str__(self) -> str:
        tried = ', '.join(f'{penalty:g}: {score["RSUM"]:.1f}' for penalty, score in self.scores.items())
        told = f' (RSUM on {len(self.held_out)} pictures that were held out: {tried})' if tried else ''
        return f'ridge regression, penalty {self.penalty:g}{told}'


def fit_ridge(
    net: Any,
    loader: Iterable,
    penalties: Sequence[float],
    holdout: float,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Aligned:
    """Fill the projections of a dual encoder by ridge regression; arguments and errors as in :func:`solve_ridge`."""
    solution, told = solve_ridge(net, loader, penalties, holdout, seed, progress=progress)
    fill(net, *solution)
    return told


class Solution(NamedTuple):
    """Arguments of :func:`fill`."""

    weight: Tensor
    image_bias: Tensor
    text_mean: Tensor


def solve_ridge(
    net: Any,
    loader: Iterable,
    penalties: Sequence[float],
    holdout: float,
    seed: int,
    features: str | None = None,
    projection: str = 'image_proj',
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Solution, Aligned]:
    """What :func:`fill` puts into a dual encoder by ridge regression; see RidgeAlignment.

    Args:
        net: The dual encoder.
        loader: Loader of a RetrievalDataset, one picture an item.
        penalties: As there.
        holdout: As there.
        seed: As there.
        features: As there.
        projection: As there.
        progress: Called with how many of how many pictures are encoded.

    Returns:
        What is filled, and what was chosen.

    Raises:
        ValueError: There are too few pictures, an item has not one whole picture, or as :func:`check_maps`.
    """
    count = len(loader.dataset)  # type: ignore[attr-defined]
    size = min(int(holdout * count), _HOLDOUT_MOST) if len(penalties) > 1 else 0
    if count < 2 or (len(penalties) > 1 and not size):
        raise ValueError(
            f'{count} pictures are too few to hold {holdout:.0%} of them out; give one penalty, or more data'
        )
    held = set(torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size].tolist())
    dims = widths(net, projection)
    check_maps(net, *dims, projection)  # now: to encode may take long
    fitted, kept = RidgeSums(*dims), RidgeSums(*dims)
    kept_images: list[Tensor] = []
    kept_texts: list[Tensor] = []
    done = 0
    for images, texts, samples in encode_pairs(net, loader, features):
        for image, captions, sample in zip(images, texts, samples):
            if not len(captions):
                continue
            sums = fitted
            if sample.index in held:
                sums = kept
                kept_images.append(image.double())
                kept_texts.append(captions.double())
            sums.add(image[None], captions.double().mean(dim=0)[None])
        done += len(samples)
        progress(done, count)
    scores = {}
    penalty = penalties[0]
    if kept_images:
        fit = RidgeFit.of(fitted.total())
        owner = np.repeat(np.arange(len(kept_texts)), [len(captions) for captions in kept_texts])
        found, told = torch.stack(kept_images) - fit.image_mean, torch.cat(kept_texts) - fit.text_mean
        for each in penalties:
            scores[each] = image_text_metrics(unit(found @ fit.weight(each).T), unit(told), owner)
        penalty = max(penalties, key=lambda each: scores[each]['RSUM'])
    fit = RidgeFit.of(fitted.total(kept))
    weight = fit.weight(penalty)
    solution = weight, -(weight @ fit.image_mean), fit.text_mean
    return Solution(*(values.float().contiguous() for values in solution)), Aligned(penalty, sorted(held), scores)


@torch.no_grad()
def encode_pairs(
    net: Any, loader: Iterable, features: str | None = None
) -> Iterator[tuple[Tensor, tuple[Tensor, ...], list[VLDataSample]]]:
    """Features before the projections: of the batch's pictures ``(B, C_v)``, of each one's captions ``(K, C_t)``.

    Args:
        net: The dual encoder.
        loader: Loader of a RetrievalDataset, one picture an item.
        features: As in RidgeAlignment.

    Raises:
        ValueError: An item has not one whole picture.
    """
    training = net.training
    net.eval()
    try:
        for batch in loader:
            data = net.data_preprocessor(batch)
            inputs, samples = data['inputs'], data['data_samples']
            for sample in samples:
                if sample.num_images != 1:
                    raise ValueError(f'item {sample.index} has {sample.num_images} pictures, to align it must have one')
            texts = pool_text(net, net.text_encoder(inputs), inputs).cpu()
            images = net.get_submodule(features)(inputs)[:, 0] if features else net.image_encoder(inputs).cls
            yield images.cpu(), texts.split([sample.num_captions for sample in samples]), samples
    finally:
        net.train(training)
