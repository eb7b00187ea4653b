"""Lists of any length: one line an input, whatever the input, and whatever happens to the process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import ROOT, environment

from mmvlforge import ManipulationInferencer
from mmvlforge.apis.batch import check_batch, prepared_batches
from mmvlforge.apis.inputs import Query
from mmvlforge.cli import main
from mmvlforge.folder_lock import folder_lock


@pytest.fixture(scope='module')
def check(detector) -> ManipulationInferencer:
    return ManipulationInferencer(detector)


@pytest.fixture(scope='module')
def pairs(mini_set) -> list[tuple[str, str]]:
    records = json.loads((mini_set / 'metadata/test.json').read_text())
    return [(str(mini_set / record['image']), record['text']) for record in records]


def write_list(path: Path, pairs: list, times: int = 1) -> Path:
    """JSON Lines of pairs with what is broken among them: a file, a record, JSON; and a picture and a caption alone."""
    (path.parent / 'broken.jpg').write_bytes(b'no picture')
    rows = [dict(image=image, caption=caption) for image, caption in pairs]
    rows[1] = dict(image='broken.jpg', caption='says "error": "no"')
    rows[3] = dict(caption=3)
    rows[4] = dict(image=pairs[4][0])
    rows[5] = dict(caption='a caption alone with "verdict": "fake" in it')
    lines = [json.dumps(dict(row, id=f'{turn}.{i}')) for turn in range(times) for i, row in enumerate(rows)]
    lines[7] = '{"image": '
    path.write_text('\n'.join(lines) + '\n')
    return path


def read(path: Path) -> list[dict]:
    assert path.read_bytes().endswith(b'\n')
    return [json.loads(line) for line in path.read_text().splitlines()]


def agree(found: list[dict], expected: list[dict]) -> None:
    for one, other in zip(found, expected, strict=True):
        for name in ('id', 'image', 'image_sha256', 'caption', 'provenance', 'unread_words', 'error'):
            assert one.get(name) == other.get(name), name
        assert one['fake_score'] == pytest.approx(other['fake_score'], abs=1e-4)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_line_for_each_input(check, pairs, tmp_path, workers):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs), tmp_path / 'new/results.jsonl'
    told: list = []
    counts = check_batch(check, source, out, batch_size=5, workers=workers, progress=lambda *done: told.append(done))
    results = read(out)
    assert len(results) == len(pairs) == counts.total == 13 and counts.before == 0
    assert told == [(5, 13), (10, 13), (13, 13)]
    assert [row for row, result in enumerate(results) if 'error' in result] == [1, 3, 7]
    assert counts.unusable == 3 and sum(counts.verdicts.values()) == 13 - 3 - 2
    assert results[1]['error'].startswith(f'{tmp_path}/broken.jpg cannot be read') and results[1]['id'] == '0.1'
    assert results[3]['error'] == f'{source}:4: caption is 3, must be a string'
    assert 'pairs.jsonl:8: broken JSON' in results[7]['error'] and set(results[7]) == set(results[0]) | {'error'}
    assert results[4]['verdict'] is results[5]['verdict'] is None
    sound = [(image, caption) for row, (image, caption) in enumerate(pairs) if row not in (1, 3, 4, 5, 7)]
    expected = check(sound)['predictions']
    found = [result for result in results if result['verdict']]
    for one, other in zip(found, expected, strict=True):
        assert one['fake_score'] == pytest.approx(other['fake_score'], abs=1e-4)
        assert one['stability'] == pytest.approx(other['stability'], abs=1e-4)
        assert {**one, 'id': None} | dict.fromkeys(['fake_score', 'stability', 'types', 'words', 'box']) == {
            **other
        } | dict.fromkeys(['fake_score', 'stability', 'types', 'words', 'box'])


@pytest.mark.parametrize('kept', [0, 1, 6, 13])
def test_it_goes_on_after_the_last_whole_line(check, pairs, tmp_path, kept):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs), tmp_path / 'results.jsonl'
    check_batch(check, source, out, 4, 0)
    whole = out.read_bytes().splitlines(keepends=True)
    torn = b'' if kept == 13 else whole[kept][:20]
    out.write_bytes(b''.join(whole[:kept]) + torn)
    counts = check_batch(check, source, out, 4, 0)
    assert counts.before == kept and counts.total == 13 and counts.unusable == 3
    agree(read(out), [json.loads(line) for line in whole])


def test_results_that_were_edited_are_not_gone_on_with(check, pairs, tmp_path):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs), tmp_path / 'results.jsonl'
    check_batch(check, source, out, 4, 0)
    whole = out.read_bytes().splitlines(keepends=True)
    for lines, told in (
        (whole[1:], ':12: is not of the input with that number'),
        ([*whole, whole[0]], ':14: is not of the input with that number'),
        ([*whole[:4], b'x\n'], ':5: broken JSON at column 1'),
    ):
        out.write_bytes(b''.join(lines))
        with pytest.raises(ValueError, match=f'results.jsonl{told}'):
            check_batch(check, source, out, 4, 0)
        assert out.read_bytes() == b''.join(lines)


def test_a_list_may_be_moved(check, pairs, tmp_path):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs), tmp_path / 'results.jsonl'
    check_batch(check, source, out, 4, 0)
    out.write_bytes(b''.join(out.read_bytes().splitlines(keepends=True)[:2]))
    (tmp_path / 'moved').mkdir()
    source.rename(tmp_path / 'moved/pairs.jsonl')
    (tmp_path / 'broken.jpg').rename(tmp_path / 'moved/broken.jpg')
    assert check_batch(check, tmp_path / 'moved/pairs.jsonl', out, 4, 0).before == 2


def test_kills_lose_and_double_nothing(detector, check, pairs, tmp_path):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs, times=15), tmp_path / 'results.jsonl'
    command = [sys.executable, '-m', 'mmvlforge', 'check-batch', str(source), '--model', str(detector)]
    command += ['--out', str(out), '--batch-size', '3', '--workers', '2', '--device', 'cpu']

    def run() -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    size = 0
    for _ in range(2):
        process, deadline = run(), time.time() + 120
        while not (out.exists() and out.stat().st_size > size):
            assert process.poll() is None and time.time() < deadline, process.communicate()[0]
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        size = out.stat().st_size
    assert 0 < len(out.read_bytes().splitlines()) < 195
    process = run()
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 3, told
    assert ' were there)' in told and '31 unusable' in told  # two a turn, and a line that is no JSON
    results = read(out)
    expected = write_list(tmp_path / 'pairs.jsonl', pairs)
    check_batch(check, expected, tmp_path / 'whole.jsonl', 3, 0)
    whole = read(tmp_path / 'whole.jsonl')
    for row, result in enumerate(results):
        assert result['id'] == (None if row in (3, 7) or row % 13 == 3 else f'{row // 13}.{row % 13}')
        if row != 7 and row % 13 != 7:
            assert result['image'] == whole[row % 13]['image']
            assert result['fake_score'] == pytest.approx(whole[row % 13]['fake_score'], abs=1e-3)
    assert len(results) == 195


def test_results_of_something_else_are_kept(detector, check, pairs, tmp_path, retriever):
    source, out = write_list(tmp_path / 'pairs.jsonl', pairs), tmp_path / 'results.jsonl'
    (tmp_path / 'results.jsonl').write_text('mine\n')
    with pytest.raises(ValueError, match=r'results.jsonl: exists, and no results.jsonl.manifest.json beside it'):
        check_batch(check, source, out)
    out.unlink()
    check_batch(check, source, out, workers=0)
    before = out.read_bytes()
    other = ManipulationInferencer(detector, stability=False)
    with pytest.raises(ValueError, match='holds results of other settings: stability was True, is False'):
        check_batch(other, source, out, workers=0)
    other = ManipulationInferencer(detector)
    other.model.binary_head.classifier[-1].bias.data += 1
    with pytest.raises(ValueError, match='holds results of other model: fingerprint was'):
        check_batch(other, source, out, workers=0)
    source.write_text(source.read_text() + '{"caption": "one more"}\n')
    with pytest.raises(ValueError, match='holds results of other pairs: '):
        check_batch(check, source, out, workers=0)
    with folder_lock(tmp_path, 'another', 'results.jsonl'), pytest.raises(ValueError, match=r'results.jsonl is in use'):
        check_batch(check, source, out, workers=0)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ('name', 'text', 'told'),
    [
        ('a.csv', 'image,caption\n', 'a.csv: holds no pair'),
        ('a.csv', 'picture\nx.jpg\n', "a.csv: needs a column 'image' or 'caption'"),
        ('a.csv', 'image\nx.jpg\n"never closed\n', 'broken CSV'),
        ('a.txt', 'x', 'must be a .csv or .jsonl file'),
    ],
)
def test_lists_that_are_none(detector, tmp_path, name, text, told, capsys):
    (tmp_path / name).write_text(text)
    args = ['check-batch', str(tmp_path / name), '--model', str(detector), '--out', str(tmp_path / 'out.jsonl')]
    assert main(args) == 2
    err = capsys.readouterr().err
    assert told in err and 'Traceback' not in err and not (tmp_path / 'out.jsonl').exists()


def test_the_command(detector, pairs, tmp_path, capsys):
    rows = ['image,caption,id', *(f'{image},{caption},{row}' for row, (image, caption) in enumerate(pairs[:3]))]
    (tmp_path / 'pairs.csv').write_text('\n'.join(rows) + '\nnone.jpg,x,3\n')
    args = ['check-batch', str(tmp_path / 'pairs.csv'), '--model', str(detector), '--workers', '0']
    args += ['--out', str(tmp_path / 'out.jsonl'), '--no-stability', '--no-provenance']
    assert main(args) == 3
    out = capsys.readouterr().out
    assert out.startswith(f'{tmp_path}/out.jsonl: 4 pairs: ') and out.endswith(', 0 without verdict, 1 unusable\n')
    results = read(tmp_path / 'out.jsonl')
    assert [result['id'] for result in results] == ['0', '1', '2', '3']
    assert all(result['stability'] is result['provenance'] is None for result in results)
    assert main(args) == 3
    assert '4 pairs (4 were there): ' in capsys.readouterr().out


def test_no_more_is_read_than_is_needed(check, pairs):
    """Memory does not grow with the list: at most two batches a process are made ready before they are asked for."""
    asked: list = []

    def queries():
        for row in range(1000):
            asked.append(row)
            yield Query(*pairs[row % 13])

    batches = prepared_batches(check, queries(), 2, 2)
    next(batches)
    assert len(asked) <= 2 * 2 * 2 + 2
    batches.close()


def test_a_process_that_dies_is_told(check, pairs, monkeypatch):
    monkeypatch.setattr(check, 'prepared', lambda query: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ValueError, match='a process that reads pictures died .* the same command goes on from here'):
        list(prepared_batches(check, iter([Query(*pairs[0])] * 4), 2, 1))
