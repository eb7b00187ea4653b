"""Predictions as a file that anyone can score."""

from collections import Counter
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmvlforge.evaluation.predictions import box_problems, expected_fields, write_predictions
from mmvlforge.evaluation.samples import prediction_row
from mmvlforge.evaluation.scoring import type_names
from mmvlforge.registry import METRICS

__all__ = ['PredictionWriter']


@METRICS.register_module()
class PredictionWriter(BaseMetric):
    """Writes all predictions in the open format (docs/evaluation.md); adds no metric.

    The main process writes, sorted by row. Each number is the exact value of the model's float32, so scoring the file
    gives the numbers of the metrics beside this writer. Type scores are named after the data set's types. What the
    model has no head for is left out of all rows: an absent ``box`` is not "no box", which is null.

    Args:
        out_file: JSON Lines file to write; its folder is made if need be.
        **kwargs: As :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ''  # bare keys; None gives them too, but MMEngine then warns at every start

    def __init__(self, out_file: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.out_file = out_file

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the row of each sample."""
        if 'image_types' not in self.dataset_meta:
            raise ValueError('predictions can be written of manipulation detection alone: this set has no image_types')
        types = type_names(self.dataset_meta['image_types'], self.dataset_meta['text_types'])
        self.results += [prediction_row(sample, types) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file; there is nothing to measure.

        Raises:
            ValueError: A sample lacks what others have, two have the same row, or a box and what the rules say of it
                contradict each other.
        """
        fields = expected_fields(results)
        rows = Counter(row['index'] for row in results)
        if len(rows) < len(results):
            twice = next(index for index, count in rows.items() if count > 1)
            raise ValueError(
                f'row {twice} was predicted twice: of several sets, test each by itself to write predictions'
            )
        for row in results:
            missing = [field for field in fields if field not in row]
            if missing:
                raise ValueError(f'sample {row["index"]}: has no prediction of {", ".join(missing)}, other samples do')
            for problem in box_problems(row):
                raise ValueError(f'sample {row["index"]}: {problem}')
        write_predictions(self.out_file, results)
        return {}
