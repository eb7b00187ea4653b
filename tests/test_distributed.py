"""Several processes on a CPU-only machine."""

from project import free_port, run_tool, weights

from mmvlforge.annotations.json_files import read_json
from mmvlforge.folder_lock import folder_lock
from mmvlforge.manifest import read_metrics_file


def test_two_processes_train_and_evaluate_as_one(tiny_config, tmp_path):
    run_tool(
        'bash', 'tools/dist_train.sh', tiny_config, 2, '--work-dir', tmp_path / 'train',
        '--cfg-options', 'train_cfg.max_epochs=1', env={'PORT': free_port()},
    )  # fmt: skip
    checkpoint = tmp_path / 'train/epoch_1.pth'
    assert all(v.isfinite().all() for v in weights(tmp_path / 'train', 1).values())

    results, fingerprints = {}, set()
    for processes in (1, 2, 3):  # 13 samples: neither 2 nor 3 divides them
        out, predictions = tmp_path / f'{processes}.json', tmp_path / f'{processes}.jsonl'
        work_dir = tmp_path / f'test{processes}'
        outputs = ['--work-dir', work_dir, '--out', out, '--predictions', predictions]
        # Batches of one: the same arithmetic for a sample, whoever computes it.
        options = ['--cfg-options', 'test_dataloader.batch_size=1']
        if processes == 1:
            run_tool('tools/test.py', tiny_config, checkpoint, *outputs, *options)
        else:
            run_tool(
                'bash', 'tools/dist_test.sh', tiny_config, checkpoint, processes, *outputs, *options,
                env={'PORT': free_port()},
            )  # fmt: skip
        metrics, manifest = read_metrics_file(out)
        assert manifest['processes'] == processes
        fingerprints.add(manifest['weights']['fingerprint'])
        assert [read_json(path) for path in work_dir.rglob('manifest.json')] == [manifest]  # of one process alone
        results[processes] = (metrics, predictions.read_text())
    assert len(fingerprints) == 1
    assert results[2] == results[1]
    assert results[3] == results[1]
    assert len(results[1][1].splitlines()) == 13


def test_a_second_launch_into_a_work_dir_is_refused(tiny_config, tmp_path):
    """Its first process says why, and the launcher ends the others."""
    with folder_lock(tmp_path / 'run', 'mmvlforge train'):
        command = ['bash', 'tools/dist_train.sh', tiny_config, 2, '--work-dir', tmp_path / 'run']
        refused = run_tool(*command, env={'PORT': free_port()}, check=False)
        assert refused.returncode and not list((tmp_path / 'run').glob('*.pth'))
    assert f'error: {tmp_path}/run is in use: mmvlforge train, process ' in refused.stderr
    assert refused.stderr.count('is in use') == 1 and 'exitcode  : 2' in refused.stderr
