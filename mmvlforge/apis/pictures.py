"""Pictures of a retrieval model's work on its test set, or on a user's own pair.

What is drawn: captions proofread (Fig. 5 of the ViLEM paper), where the model looks for each word (Fig. 3), what it
finds for a query, and how similar matching and other pairs are (Fig. 4).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmvlforge.apis.retrieval import Features, TrainedRetriever
from mmvlforge.evaluation.retrieval import retrieval_ranks
from mmvlforge.evaluation.similarity import similarity_distribution
from mmvlforge.models.word_patch_maps import word_patch_maps
from mmvlforge.structures import VLInputs
from mmvlforge.visualization import load_picture
from mmvlforge.visualization.drawing import save_picture
from mmvlforge.visualization.proofread_caption import ProofreadToken, draw_proofread_caption
from mmvlforge.visualization.retrieval_gallery import Answer, draw_found_captions, draw_found_pictures
from mmvlforge.visualization.similarity_chart import draw_similarities
from mmvlforge.visualization.word_patch_picture import draw_word_patch_maps

__all__ = [
    'Drawn',
    'draw_gallery',
    'draw_own_proofread',
    'draw_proofread',
    'draw_similarity_chart',
    'draw_word_maps',
    'measure_similarities',
    'read_caption',
    'spread',
    'write_drawn',
]


class Drawn(NamedTuple):
    """A finished picture.

    Attributes:
        name: Of its file, without ending.
        picture: RGB, uint8 ``(H, W, 3)``.
        alt: What it shows, in words.
        note: What is to be said under it.
    """

    name: str
    picture: np.ndarray
    alt: str
    note: str


def spread(num: int, total: int) -> list[int]:
    """``num`` places of ``total``, at equal distances: not picked for looks."""
    return np.linspace(0, total - 1, min(num, total)).round().astype(int).tolist()


def write_drawn(pictures: list[Drawn], folder: str) -> None:
    """Write PNG files and say so."""
    for drawn in pictures:
        path = Path(folder, f'{drawn.name}.png')
        save_picture(drawn.picture, str(path))
        print(f'{path}: {drawn.alt}')


def read_caption(
    trained: TrainedRetriever, inputs: VLInputs, path: str | None, originals: list[str] | None = None
) -> list[ProofreadToken]:
    """Proofread one picture's caption; the top-3 corrections of each token.

    Args:
        trained: A ViLEM with both heads.
        inputs: One picture and one caption.
        path: Path of the model; None for its first.
        originals: The word tokens before an edition, where they are known.
    """
    readings = trained.model.proofread(inputs, topk=3)
    path = path or next(iter(readings), None)
    if path not in readings:
        raise ValueError(f'path {path!r}: this model has {", ".join(readings) or "none"}')
    reading, mask = readings[path], inputs.word_mask[0]
    if reading.wrong is None or reading.candidates is None:
        raise ValueError(f'{trained.config}: proofreading needs a detection_head and a correction_head')
    tokens = trained.tokens(inputs, 0)
    names = [trained.tokenizer.convert_ids_to_tokens(row) for row in reading.candidates[0][mask].tolist()]
    return [
        ProofreadToken(text, wrong, list(zip(words, scores)), original)
        for text, wrong, words, scores, original in zip(
            tokens, reading.wrong[0][mask].tolist(), names, reading.scores[0][mask].tolist(), originals or tokens
        )
    ]


def draw_own_proofread(
    trained: TrainedRetriever, image: str, caption: str, path: str | None, threshold: float
) -> Drawn:
    """Proofread a user's pair."""
    trained.need('proofread')
    inputs, _ = trained.prepare([trained.pair(image, caption)])
    tokens = [token._replace(original=None) for token in read_caption(trained, inputs, path)]
    return Drawn(Path(image).stem, draw_proofread_caption(load_picture(image), tokens, threshold), caption, '')


def draw_proofread(trained: TrainedRetriever, num: int, path: str | None = None, threshold: float = 0.5) -> list[Drawn]:
    """Edit and proofread captions of the test set."""
    trained.need('proofread')
    pictures = []
    for place in spread(num, len(trained.dataset)):
        inputs, samples = trained.prepare([trained.dataset[place]])
        trained.check_drawable(samples)
        edited = trained.model.edit_groups(inputs, samples, trained.model.proofread_seed or 0)
        row = int((edited != inputs.input_ids).any(dim=1).int().argmax())  # the first caption where none is edited
        one = VLInputs(inputs.images, *(part[row : row + 1] for part in inputs[1:]))
        wrong = one._replace(input_ids=edited[row : row + 1])
        tokens = read_caption(trained, wrong, path, trained.tokens(one, 0))
        image = samples[0].img_paths[0]
        found = sum(token.edited and token.wrong > threshold for token in tokens)
        fixed = sum(token.edited and token.candidates[0][0] == token.original for token in tokens)
        note = f'{sum(token.edited for token in tokens)} edited, {found} found, {fixed} put right'
        name = f'{samples[0].index:06d}_{Path(image).stem}'
        caption = ' '.join(token.text for token in tokens)
        pictures.append(Drawn(name, draw_proofread_caption(load_picture(image), tokens, threshold), caption, note))
    return pictures


def draw_word_maps(trained: TrainedRetriever, item: dict, path: str = 'local', layer: int | None = None) -> Drawn:
    """The maps of an item's first caption."""
    trained.need('proofread')
    inputs, samples = trained.prepare([item])
    one = VLInputs(inputs.images[:1], *(part[:1] for part in inputs[1:]))
    maps = word_patch_maps(trained.model, one, path, layer).cpu().numpy()
    image, words = samples[0].img_paths[0], trained.tokens(one, 0)
    name = f'{samples[0].index:06d}_{Path(image).stem}'
    return Drawn(name, draw_word_patch_maps(load_picture(image), words, maps), ' '.join(words), samples[0].captions[0])


def draw_gallery(features: Features, num: int, topk: int = 5) -> list[Drawn]:
    """Galleries both ways, ``num`` each."""
    i2t, t2i = retrieval_ranks(features.image, features.text, features.owner)
    pictures = []
    for query in spread(num, len(features.text)):
        scores = features.image @ features.text[query]
        answers = [
            Answer(load_picture(features.paths[i]), float(scores[i]), i == features.owner[query])
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        caption = features.captions[query]
        drawn = draw_found_pictures(caption, answers, int(t2i[query]) + 1)
        pictures.append(Drawn(f't2i_{query:06d}', drawn, caption, ''))
    for query in spread(num, len(features.image)):
        scores = features.text @ features.image[query]
        answers = [
            Answer(features.captions[i], float(scores[i]), features.owner[i] == query)
            for i in (-scores).argsort(kind='stable')[:topk]
        ]
        path = features.paths[query]
        drawn = draw_found_captions(load_picture(path), answers, int(i2t[query]) + 1)
        pictures.append(Drawn(f'i2t_{query:06d}', drawn, Path(path).name, ''))
    return pictures


def measure_similarities(features: Features) -> dict:
    """Distribution of a test set's similarities."""
    return similarity_distribution(features.image, features.text, features.owner)


def draw_similarity_chart(models: dict) -> Drawn:
    """The chart of one or several models, by name."""
    parts = [
        f'{name}: positive {found["positive"]["mean"]:.2f}, negative {found["negative"]["mean"]:.2f}, '
        f'normalised margin {found["normalised_margin"]["mean"]:.2f}'
        for name, found in models.items()
    ]
    return Drawn('similarity', draw_similarities(models), '; '.join(parts), 'means; ± is the standard deviation')
