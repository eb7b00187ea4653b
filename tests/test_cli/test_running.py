"""``mmvlforge train`` and ``test``: from a user's own folder, stopped by Ctrl-C, and by the old scripts."""

import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from project import ROOT, environment, hear_interrupts

from mmvlforge.annotations.json_files import read_json
from mmvlforge.cli import main
from mmvlforge.folder_lock import LOCK_FILE
from mmvlforge.manifest import described_file, read_metrics_file, weights_fingerprint
from mmvlforge.version import __version__


def test_train_stop_and_go_on(tiny_config, tmp_path):
    """Ctrl-C ends with one line that says what was kept and how to go on, and no traceback."""
    command = ['train', str(tiny_config), '--work-dir', str(tmp_path / 'run'), '--cfg-options', 'param_scheduler=None']
    process = subprocess.Popen(
        [sys.executable, '-m', 'mmvlforge', *command, 'train_cfg.max_epochs=500'],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    deadline = time.time() + 300
    while not (tmp_path / 'run/last_checkpoint').exists():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert 'Traceback' not in err
    assert f'stopped. kept: {tmp_path}/run/epoch_' in err
    assert 'go on with the same command and --resume' in err
    newest = int((tmp_path / 'run/last_checkpoint').read_text().rpartition('_')[2].removesuffix('.pth'))
    more = f'train_cfg.max_epochs={newest + 1}'
    assert main([*command, more, '--resume']) == 0
    assert (tmp_path / f'run/epoch_{newest + 1}.pth').is_file()

    out = tmp_path / 'deep/metrics.json'
    checkpoint = str(tmp_path / f'run/epoch_{newest + 1}.pth')
    args = ['test', str(tiny_config), checkpoint, '--work-dir', str(tmp_path / 'run'), '--out', str(out)]
    assert main([*args, '--predictions', str(tmp_path / 'predictions.jsonl')]) == 0
    metrics, manifest = read_metrics_file(out)
    assert set(metrics) > {'AUC', 'mAP', 'IoUmean', 'IoUmean/coord_rule', 'IoUmean/type_rule', 'F1'}
    check_manifests(tmp_path / 'run', manifest, tiny_config, newest)
    assert len((tmp_path / 'predictions.jsonl').read_text().splitlines()) == 13

    old = tmp_path / 'old.json'
    command = [sys.executable, str(ROOT / 'tools/test.py'), str(tiny_config), checkpoint, '--out', str(old)]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    assert read_metrics_file(old)[0] == metrics


def check_manifests(work_dir, tested, config, newest):
    """Three runs in one folder: stopped, resumed, tested. Each says what it was made from, and so leads to the next."""
    stopped, resumed = (read_json(path) for path in sorted(work_dir.glob('2*/manifest.json')))
    assert [read_json(path) for path in work_dir.glob('test/2*/manifest.json')] == [tested]
    assert [run['command'] for run in (stopped, resumed, tested)] == ['train', 'train', 'test']
    # The same config with other settings.
    assert {run['config']['file'] for run in (stopped, resumed, tested)} == {str(config)}
    assert stopped['config']['settings'] == ['param_scheduler=None', 'train_cfg.max_epochs=500']
    assert tested['config']['settings'] == []
    assert stopped['config']['fingerprint'] != tested['config']['fingerprint']
    assert resumed['arguments'] == dict(work_dir=str(work_dir), resume='auto')
    # One goes on where the other had been, and its last weights are tested.
    assert stopped['weights']['iteration'] == 0 and 'end' not in stopped['weights']
    assert resumed['weights']['resumed'] == f'{work_dir}/epoch_{newest}.pth' and 'load_from' in stopped['weights']
    assert resumed['weights']['iteration'] == 8 * newest and resumed['weights']['end_iteration'] == 8 * (newest + 1)
    checkpoint = work_dir / f'epoch_{newest + 1}.pth'
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    assert tested['weights'] == dict(file=str(checkpoint), fingerprint=weights_fingerprint(state))
    assert resumed['weights']['end'] == tested['weights']['fingerprint'] != resumed['weights']['start']
    # Annotation files by their bytes.
    annotations = {split: Path(resumed['data'][split][0]['file']) for split in ('train', 'val')}
    for split, records in (('train', 30), ('val', 9)):
        assert resumed['data'][split] == [described_file(annotations[split], records=records)]
    for run in (stopped, resumed, tested):
        told = [run[key] for key in ('protocol', 'no_box_rule', 'seed', 'processes', 'precision')]
        assert told == ['dgm4', 'type', 0, 1, 'float32']
        assert run['versions']['mmvlforge'] == __version__ and run['versions']['torch'] == version('torch')


def test_a_model_without_a_box_head_writes_predictions_that_score(detector, mini_set, tmp_path, capsys):
    state = torch.load(detector / 'tiny.pth')['state_dict']
    torch.save({k: v for k, v in state.items() if not k.startswith('box_head.')}, tmp_path / 'blind.pth')
    (tmp_path / 'blind.py').write_text(
        f'_base_ = {str(detector / "tiny.py")!r}\nmodel = dict(box_head=None)\ntest_evaluator = dict(metrics=['
        "dict(type='BinaryMetric'), dict(type='ManipulationTypeMetric'), dict(type='TokenMetric')])\n"
    )
    ours, theirs, rows = tmp_path / 'test.json', tmp_path / 'score.json', tmp_path / 'p.jsonl'
    args = ['test', str(tmp_path / 'blind.py'), str(tmp_path / 'blind.pth'), '--work-dir', str(tmp_path)]
    assert main([*args, '--out', str(ours), '--predictions', str(rows)]) == 0
    annotations = str(mini_set / 'metadata/test.json')
    assert main(['score', 'manipulation', annotations, str(rows), '--out', str(theirs)]) == 0
    assert read_metrics_file(ours)[0] == read_metrics_file(theirs)[0]
    assert 'the predictions have no box: IoUmean' in capsys.readouterr().out


def test_a_foreign_checkpoint_is_not_tested(detector, tiny_config, tmp_path, capsys):
    """MMEngine alone would score what fits of it beside random weights."""
    state = torch.load(detector / 'tiny.pth')['state_dict']
    torch.save({f'other.{name}': value for name, value in state.items()}, tmp_path / 'foreign.pth')
    name = 'neck.modality_embed'
    torch.save({**state, name: state[name] * float('nan')}, tmp_path / 'nan.pth')
    (tmp_path / 'text.pth').write_text('not a checkpoint')
    (tmp_path / 'empty.pth').touch()
    for name, told in (
        ('foreign.pth', 'does not fit the model of'),
        ('nan.pth', '1 tensors hold NaN or infinity: neck.modality_embed'),
        ('text.pth', "cannot be read: it is no file of weights; it begins with b'not a checkpoint'"),
        ('empty.pth', 'cannot be read: it is empty'),
    ):
        args = ['test', str(tiny_config), str(tmp_path / name), '--work-dir', str(tmp_path)]
        assert main([*args, '--out', str(tmp_path / 'metrics.json')]) == 2
        err = capsys.readouterr().err
        assert told in err and err.count('\n') == 1
    assert not (tmp_path / 'metrics.json').exists()


def test_a_reader_who_has_enough_is_no_error(mini_set):
    command = f'{sys.executable} -m mmvlforge data check {mini_set}/metadata/train.json | head -c 1'
    result = subprocess.run(['bash', '-c', command], env=environment(), capture_output=True, text=True, check=True)
    assert 'error' not in result.stderr and 'Traceback' not in result.stderr


def test_one_training_a_work_dir_and_tests_beside_it(tiny_config, tmp_path, capsys):
    """A second training is kept out; a test is let in, and leaves the training's config as it is."""
    run = tmp_path / 'run'
    train = ['train', str(tiny_config), '--work-dir', str(run), '--cfg-options', 'param_scheduler=None']
    process = subprocess.Popen(
        [sys.executable, '-m', 'mmvlforge', *train, 'train_cfg.max_epochs=500'],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 300
    while not (run / 'last_checkpoint').exists():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
    own, checkpoint = (run / 'tiny.py').read_text(), tmp_path / 'kept.pth'
    shutil.copy((run / 'last_checkpoint').read_text(), checkpoint)  # the training deletes its older ones
    for more in ([], ['--resume']):
        assert main([*train, *more]) == 2
        err = capsys.readouterr().err
        assert f'{run} is in use: mmvlforge train, process {process.pid} on ' in err and 'Traceback' not in err
    options = ['--cfg-options', 'test_dataloader.batch_size=1']
    assert main(['test', str(tiny_config), str(checkpoint), '--work-dir', str(run), *options]) == 0
    assert (run / 'tiny.py').read_text() == own and 'batch_size=1,' in (run / 'test/tiny.py').read_text()
    assert process.poll() is None
    process.kill()
    process.wait()
    newest = int((run / 'last_checkpoint').read_text().rpartition('_')[2].removesuffix('.pth'))
    assert main([*train, f'train_cfg.max_epochs={newest + 1}', '--resume']) == 0
    assert (run / f'epoch_{newest + 1}.pth').is_file() and not (run / LOCK_FILE).exists()
