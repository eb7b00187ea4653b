"""One picture that shows a sample: image with boxes, caption with marked words, verdicts and type scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw

from mmvlforge.evaluation.manipulation import box_iou
from mmvlforge.registry import VISUALIZERS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization.drawing import (
    FAINT,
    INK,
    MARGIN,
    PRED_COLOR,
    PRED_FILL,
    RIGHT_COLOR,
    TRACK,
    TRUE_COLOR,
    WRONG_COLOR,
    Word,
    draw_line,
    font,
    framed_picture,
    save_picture,
    stack_panels,
    wrap,
)


def _fake_words(word_ids: Sequence[int], tokens) -> set[int]:
    """A word counts as manipulated if any of its sub-word tokens does."""
    return {word for word, fake in zip(word_ids, tokens.tolist(), strict=True) if fake == 1}


@VISUALIZERS.register_module()
class ManipulationVisualizer(Visualizer):
    """Draws the truth in red and the prediction in blue, as Fig. 2 of the manipulation paper does.

    From top to bottom: the picture with the true and the predicted box; the caption, where a red underline is a
    truly manipulated word and a blue background a word held for manipulated (any of its tokens is), and grey words
    are those that the tokenizer cut off; the true and the predicted verdict; the probability of each manipulation
    type. Boxes that agree stay both visible: red lies just outside the region and blue just inside.
    The verdict is the sample's ``verdict``, or follows from P(fake) > 0.5. Names of the types come from
    ``dataset_meta`` (``image_types`` and ``text_types``, the real class first).

    Args:
        name: Name of the instance. Default: 'visualizer'.
        min_width: Smaller pictures are enlarged to this width in pixels, so that the text fits. Default: 480.
        **kwargs: See ``mmengine.visualization.Visualizer``.
    """

    def __init__(self, name: str = 'visualizer', min_width: int = 480, **kwargs) -> None:
        super().__init__(name, **kwargs)
        self.min_width = min_width

    # MMEngine's property answers on the first process only; here each process draws its own samples.
    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, value: dict | None) -> None:
        self._dataset_meta = value

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: VLDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> np.ndarray:
        """Draw one sample, and show it, write it to a file or hand it to the visualisation backends.

        Args:
            name: Name under which backends and windows show the picture.
            image: Stored picture, RGB, uint8 ``(H, W, 3)``.
            data_sample: Labels and predictions; whatever it lacks is left out.
            draw_gt: Whether to draw the labels. Default: True.
            draw_pred: Whether to draw the predictions. Default: True.
            show: Whether to open a window. Default: False.
            wait_time: How long the window stays, seconds; 0 waits for a key. Default: 0.
            out_file: File to write, its format told by its ending. Default: None.
            step: Step for the backends. Default: 0.

        Returns:
            What was drawn, RGB, uint8.
        """
        drawn = self.draw(image, data_sample, draw_gt, draw_pred)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            save_picture(drawn, out_file)
        elif not show:
            self.add_image(name, drawn, step)
        return drawn

    def draw(
        self, image: np.ndarray, data_sample: VLDataSample, draw_gt: bool = True, draw_pred: bool = True
    ) -> np.ndarray:
        """Draw one sample; arguments and result as in :meth:`add_datasample`."""
        picture = self._draw_picture(image, data_sample, draw_gt, draw_pred)
        text = self._draw_text(picture.width, data_sample, draw_gt, draw_pred)
        return stack_panels([picture, text])

    def _draw_picture(self, image: np.ndarray, sample: VLDataSample, draw_gt: bool, draw_pred: bool) -> Image.Image:
        height, width = image.shape[:2]
        panel, scale = framed_picture(image, self.min_width)
        canvas = ImageDraw.Draw(panel)
        line = min(max(3, panel.width // 120), MARGIN)

        def corners(box):
            # a region outside the picture is drawn at its edge, one without area as a dot
            x1, x2 = (min(max(x, 0), width) * scale + MARGIN for x in (box[0], box[2]))
            y1, y2 = (min(max(y, 0), height) * scale + MARGIN for y in (box[1], box[3]))
            return round(x1), round(y1), max(round(x2), round(x1) + 1) - 1, max(round(y2), round(y1) + 1) - 1

        true_box = sample.get('gt_box') if draw_gt else None
        pred_box = sample.get('pred_box') if draw_pred else None
        if true_box is not None:
            x1, y1, x2, y2 = corners(true_box.tolist())
            canvas.rectangle((x1 - line, y1 - line, x2 + line, y2 + line), outline=TRUE_COLOR, width=line)
        if pred_box is not None:
            canvas.rectangle(corners(pred_box.tolist()), outline=PRED_COLOR, width=line)
        return panel

    def _caption(self, sample: VLDataSample, draw_gt: bool, draw_pred: bool) -> list[Word]:
        meta = sample.metainfo
        words = meta.get('text', '').split()
        word_ids = meta.get('word_ids')
        if word_ids is None:
            return [Word(word) for word in words]
        seen = set(word_ids)
        true = _fake_words(word_ids, sample.gt_tokens) if draw_gt and hasattr(sample, 'gt_tokens') else ()
        pred = _fake_words(word_ids, sample.pred_tokens) if draw_pred and hasattr(sample, 'pred_tokens') else ()
        return [
            Word(word, i in true, PRED_FILL if i in pred else None, INK if i in seen else FAINT)
            for i, word in enumerate(words)
        ]

    def _types(self, sample: VLDataSample) -> list[list[str]]:
        """Names of the image types and of the text types, the real class first."""
        meta = self.dataset_meta or {}
        names = [list(meta.get(key, ())) for key in ('image_types', 'text_types')]
        if not all(names):
            count = len(sample.get('pred_type_scores', torch.zeros(4))) // 2
            names = [['real'] + [f'{kind} type {i + 1}' for i in range(count)] for kind in ('image', 'text')]
        return [[name.replace('_', ' ') for name in kind] for kind in names]

    def _draw_text(self, width: int, sample: VLDataSample, draw_gt: bool, draw_pred: bool) -> Image.Image:
        size = max(16, width // 28)
        small = round(size * 0.85)
        step = round(size * 1.65)
        room = width - 2 * MARGIN
        image_types, text_types = self._types(sample)

        caption = wrap(self._caption(sample, draw_gt, draw_pred), size, room)
        true_fake = sample.get('gt_fake') if draw_gt else None
        score = sample.get('pred_fake_score') if draw_pred else None
        type_scores = sample.get('pred_type_scores') if draw_pred else None
        probabilities = [] if type_scores is None else type_scores.float().sigmoid().tolist()
        true_names = []
        if draw_gt:
            true_names = [
                names[sample.get(field)]
                for names, field in ((image_types, 'gt_image_type'), (text_types, 'gt_text_type'))
                if sample.get(field)
            ]

        label = font(small, True).getlength('Predicted') + 2.2 * small
        # colour, fill, head, lines
        verdicts: list[tuple[tuple, Any, str, list[list[Word]]]] = []
        if true_fake is not None:
            truth = 'real' if not true_fake else ': '.join(['fake', ' + '.join(true_names)][: 1 + bool(true_names)])
            lines = wrap([Word(word) for word in truth.split()], small, room - label)
            verdicts.append((TRUE_COLOR, 'white', 'Truth', lines))
        if score is not None:
            verdict = sample.get('verdict', 'fake' if score > 0.5 else 'real')
            words = [Word(f'{verdict}, P(fake) = {score:.3f}')]
            if true_fake is not None:
                right = (score > 0.5) == bool(true_fake)
                words.append(Word('✓ right' if right else '✗ wrong', color=RIGHT_COLOR if right else WRONG_COLOR))
            true_box, pred_box = sample.get('gt_box') if draw_gt else None, sample.get('pred_box')
            if true_box is not None and pred_box is not None:
                iou = box_iou([pred_box.tolist()], [true_box.tolist()])[0]
                words.append(Word(f'· box IoU {iou:.2f}'))
            verdicts.append((PRED_COLOR, PRED_FILL, 'Predicted', wrap(words, small, room - label)))

        sides = [image_types[1:], text_types[1:]]
        rows = sum(len(lines) for *_, lines in verdicts) + (max(map(len, sides)) if probabilities else 0)
        height = MARGIN + step * len(caption) + round(small * 1.75) * rows + small
        panel = Image.new('RGB', (width, height), 'white')
        canvas = ImageDraw.Draw(panel)

        y = 2
        for caption_line in caption:
            draw_line(canvas, MARGIN, y, caption_line, size)
            y += step
        y += small // 2
        canvas.line((MARGIN, y - small // 3, width - MARGIN, y - small // 3), fill=TRACK, width=1)
        step = round(small * 1.75)
        for color, fill, head, lines in verdicts:
            canvas.rectangle((MARGIN, y + 3, MARGIN + small, y + 3 + small), fill=fill, outline=color, width=2)
            canvas.text((MARGIN + 1.6 * small, y), head, fill=INK, font=font(small, True))
            for line in lines:
                draw_line(canvas, MARGIN + label, y, line, small)
                y += step
        if probabilities:
            self._draw_scores(canvas, y, sides, probabilities, true_names, room, small, step)
        return panel

    @staticmethod
    def _draw_scores(canvas, y, sides, probabilities, true_names, room, size, step) -> None:
        """A bar for each type, image types on the left and text types on the right, marked like the words."""
        column = room // 2
        value = font(size).getlength('0.00')
        places = [(name, side, row) for side, names in enumerate(sides) for row, name in enumerate(names)]
        label = max(font(size).getlength(name) for name, _, _ in places) + 0.7 * size
        for (name, side, row), probability in zip(places, probabilities, strict=True):
            x = MARGIN + side * column
            top = y + row * step
            draw_line(canvas, x, top, [Word(name, name in true_names, PRED_FILL if probability >= 0.5 else None)], size)
            left, right = x + label, x + column - value - 1.5 * size
            bar = (left, top + 0.35 * size, max(right, left), top + 0.95 * size)
            canvas.rectangle(bar, fill=TRACK)
            if probability > 0:
                canvas.rectangle((left, bar[1], left + (bar[2] - left) * probability, bar[3]), fill=PRED_COLOR)
            canvas.text((x + column - value - 0.8 * size, top), f'{probability:.2f}', fill=INK, font=font(size))
