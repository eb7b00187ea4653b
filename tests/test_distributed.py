"""Several processes on a CPU-only machine."""

import json

from project import free_port, run_tool, weights


def test_two_processes_train_and_evaluate_as_one(tiny_config, tmp_path):
    run_tool(
        'bash', 'tools/dist_train.sh', tiny_config, 2, '--work-dir', tmp_path / 'train',
        '--cfg-options', 'train_cfg.max_epochs=1', env={'PORT': free_port()},
    )  # fmt: skip
    checkpoint = tmp_path / 'train/epoch_1.pth'
    assert all(v.isfinite().all() for v in weights(tmp_path / 'train', 1).values())

    results = {}
    for processes in (1, 2, 3):  # 13 samples: neither 2 nor 3 divides them
        out, predictions = tmp_path / f'{processes}.json', tmp_path / f'{processes}.jsonl'
        outputs = ['--work-dir', tmp_path / 'test', '--out', out, '--predictions', predictions]
        # Batches of one: the same arithmetic for a sample, whoever computes it.
        options = ['--cfg-options', 'test_dataloader.batch_size=1']
        if processes == 1:
            run_tool('tools/test.py', tiny_config, checkpoint, *outputs, *options)
        else:
            run_tool(
                'bash', 'tools/dist_test.sh', tiny_config, checkpoint, processes, *outputs, *options,
                env={'PORT': free_port()},
            )  # fmt: skip
        results[processes] = (json.loads(out.read_text()), predictions.read_text())
    assert results[2] == results[1]
    assert results[3] == results[1]
    assert len(results[1][1].splitlines()) == 13
