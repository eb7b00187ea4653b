"""The tools as a user runs them: train, stop, resume, test, score."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from project import DGM4_METRICS, inside, kill_after_first_epoch, run_tool, weights

from mmvlforge.cli import main
from mmvlforge.manifest import MANIFEST, described_file


@pytest.fixture(scope='session')
def trained(tiny_config, tmp_path_factory) -> Path:
    """Work dir of an uninterrupted run of two epochs."""
    work_dir = tmp_path_factory.mktemp('trained')
    result = run_tool('tools/train.py', tiny_config, '--work-dir', work_dir)
    assert 'eta:' in result.stdout
    return work_dir


def test_training_writes_checkpoints_and_logs(trained):
    assert (trained / 'last_checkpoint').read_text().endswith('epoch_2.pth')
    assert list(trained.glob('best_AUC_epoch_*.pth'))
    assert list(trained.rglob('events.out.tfevents*'))


def test_killed_and_resumed_run_equals_uninterrupted_one(tiny_config, trained, tmp_path):
    kill_after_first_epoch(tiny_config, tmp_path)
    run_tool('tools/train.py', tiny_config, '--work-dir', tmp_path, '--resume')
    uninterrupted, resumed = weights(trained, 2), weights(tmp_path, 2)
    first = weights(trained, 1)
    assert uninterrupted.keys() == resumed.keys()
    for name, value in uninterrupted.items():
        assert torch.equal(value, resumed[name]), name
    assert not torch.equal(first['neck.text_transform.weight'], uninterrupted['neck.text_transform.weight'])


def test_scoring_written_predictions_gives_the_numbers_of_test_py(tiny_config, trained, mini_set, tmp_path):
    checkpoint, predictions = trained / 'epoch_2.pth', tmp_path / 'p.jsonl'
    run_tool(
        'tools/test.py', tiny_config, checkpoint, '--work-dir', tmp_path, '--predictions', predictions,
        '--out', tmp_path / 'test.json', '--show-dir', tmp_path / 'show', '--show-worst', 2,
    )  # fmt: skip
    annotations = mini_set / 'metadata/test.json'
    scored_to = tmp_path / 'score.json'
    assert main(['score', 'manipulation', str(annotations), str(predictions), '--out', str(scored_to)]) == 0
    tested, scored = (json.loads((tmp_path / f'{n}.json').read_text()) for n in ('test', 'score'))
    by_run, by_scorer = tested.pop(MANIFEST), scored.pop(MANIFEST)
    assert set(scored) > {*DGM4_METRICS, 'IoUmean/coord_rule', 'IoUmean/type_rule'}
    assert tested == scored
    # Each says of what file it is, and so from which weights the scores are.
    assert by_run['predictions'] == by_scorer['predictions'] == described_file(predictions)
    assert by_run['data']['test'] == [by_scorer['annotations']] == [described_file(annotations, records=13)]
    assert by_run['protocol'] == by_scorer['protocol'] == 'dgm4'
    assert len(predictions.read_text().splitlines()) == 13
    assert len(list((tmp_path / 'show').iterdir())) == 2


def test_one_pair_gets_the_answer_of_the_test_set(tiny_config, trained, mini_set, tmp_path):
    checkpoint, predictions = trained / 'epoch_2.pth', tmp_path / 'p.jsonl'
    run_tool('tools/test.py', tiny_config, checkpoint, '--work-dir', tmp_path, '--predictions', predictions)
    row = json.loads(predictions.read_text().splitlines()[3])
    record = json.loads((mini_set / 'metadata/test.json').read_text())[row['index']]
    picture, caption = mini_set / record['image'], record['text']
    command = ('-m', 'mmvlforge', 'check', picture, caption, '--model', tiny_config, checkpoint)
    found = json.loads(run_tool(*command, '--json', '--save', tmp_path / 'a.png').stdout)
    assert found['fake_score'] == pytest.approx(row['fake_score'], abs=1e-5)
    assert list(found['types']) == ['face_swap', 'face_attribute', 'text_swap', 'text_attribute']
    log_odds = torch.tensor(list(found['types'].values()), dtype=torch.float64).logit().tolist()
    assert log_odds == pytest.approx(list(row['type_scores'].values()), abs=1e-3)
    assert found['box'] == (row['box'] and pytest.approx(inside(row), abs=0.06))
    positions = {word for word, fake in zip(row['word_ids'], row['fake_tokens']) if fake}
    assert {i for i, word in enumerate(found['words']) if word['marked']} == positions
    assert [word['word'] for word in found['words']] == caption.split()
    assert f'P(fake) = {found["fake_score"]:.3f}' in run_tool(*command).stdout and (tmp_path / 'a.png').is_file()

    model = command[5:]
    for wrong, message in ((('none.jpg', 'x'), 'none.jpg cannot be read'), ((picture, ' '), 'the caption is empty')):
        result = run_tool('-m', 'mmvlforge', 'check', *wrong, *model, check=False)
        assert result.returncode == 2 and message in result.stderr and 'Traceback' not in result.stderr


def test_a_checkpoint_runs_code_only_if_allowed(tiny_config, trained, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'it_ran'),)

    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=False)
    torch.save(dict(checkpoint, meta=dict(extra=Code())), tmp_path / 'evil.pth')
    command = ['tools/test.py', tiny_config, tmp_path / 'evil.pth', '--work-dir', tmp_path / 'work']
    result = run_tool(*command, check=False)
    assert result.returncode and 'could run code: posix.mkdir' in result.stderr and '--unsafe-load' in result.stderr
    assert not (tmp_path / 'it_ran').exists()
    run_tool(*command, '--unsafe-load')
    assert (tmp_path / 'it_ran').exists()


def test_amp_trains_on_a_cpu(tiny_config, tmp_path):
    run_tool('tools/train.py', tiny_config, '--work-dir', tmp_path, '--amp', '--cfg-options', 'train_cfg.max_epochs=1')
    config = next(tmp_path.rglob('config.py')).read_text()
    assert "type='AutocastOptimWrapper'" in config
    assert all(v.isfinite().all() for v in weights(tmp_path, 1).values())


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        (['tools/train.py', 'configs/nothing.py'], "config 'configs/nothing.py' does not exist"),
        (['tools/test.py', 'configs/dgm4/dca_imq_mini.py', 'no.pth'], "checkpoint 'no.pth' does not exist"),
        (['tools/train.py', 'configs/dgm4/dca_imq.py'], "load_from='checkpoints/meter_dca.pth' does not exist"),
        (['tools/train.py', 'configs/dgm4/dca_imq_mini.py', '--resume', 'no.pth'], "checkpoint 'no.pth'"),
        (['bash', 'tools/dist_train.sh', 'configs/nothing.py', '2'], "config 'configs/nothing.py' does not exist"),
        (['bash', 'tools/dist_test.sh', 'configs/dgm4/dca_imq_mini.py', 'no.pth', '2'], "'no.pth' does not exist"),
        (['bash', 'tools/slurm_train.sh', 'part', 'job', 'configs/nothing.py'], "config 'configs/nothing.py'"),
        (['bash', 'tools/slurm_test.sh', 'part', 'job', 'configs/nothing.py', 'no.pth'], "'no.pth' does not exist"),
    ],
)
def test_missing_files_are_named_without_a_traceback(command, message):
    result = run_tool(*command, check=False)
    assert result.returncode not in (0, None)
    assert message in result.stderr
    assert 'Traceback' not in result.stderr


def test_slurm_scripts_hand_every_argument_on(tmp_path, tiny_config):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    env = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'GPUS': '16'}
    out = run_tool('bash', 'tools/slurm_train.sh', 'part', 'job', tiny_config, '--amp', '--resume', env=env).stdout
    assert re.search(r'-p part --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8', out)
    assert f'train.py {tiny_config} --launcher slurm --amp --resume' in out
    out = run_tool('bash', 'tools/slurm_test.sh', 'part', 'job', tiny_config, tiny_config, '--amp', env=env).stdout
    assert f'test.py {tiny_config} {tiny_config} --launcher slurm --amp' in out
