"""``mmvlforge forge``: what the makers print, how they are stopped, and their errors."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from project import ROOT, environment, hear_interrupts, run_tool

from mmvlforge.cli import main
from mmvlforge.cli.progress import progress
from mmvlforge.folder_lock import LOCK_FILE


@pytest.mark.parametrize(('kind', 'unit'), [('news', 'records'), ('captions', 'pictures')])
def test_makes_a_set_once(tmp_path, capsys, kind, unit):
    args = ['forge', kind, str(tmp_path / 'set'), '--num', '9', '--num-val', '9', '--num-test', '9', '--workers', '1']
    assert main(args) == 0
    assert f'Wrote 27 {unit} to {tmp_path / "set"} in ' in capsys.readouterr().out
    assert main(args) == 0
    assert capsys.readouterr().out == f'{tmp_path / "set"} already holds this mini set.\n'
    assert main([*args, '--seed', '1']) == 2
    assert 'choose another folder, or add --force.' in capsys.readouterr().err
    assert main([*args, '--seed', '1', '--force']) == 0


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['news', 'OUT', '--num', '5'], 'train split needs at least 9 records'),
        (['captions', 'OUT', '--num', '3'], 'train split holds 5 to 800000 pictures, not 3'),
        (['news', 'OUT', '--num', '9', '--workers', '0'], 'At least one worker is needed, not 0'),
        (['news', 'OUT'], '--num'),
        (['tokenizer', 'none.json', 'OUT'], 'none.json'),
        (['tokenizer', 'ANN', 'OUT'], "ann.json: record 1 has no text in its field 'text'"),
        (['edit-quality', 'none.py'], 'none.py'),
        (['edit-quality', str(ROOT / 'configs/dgm4/dca_imq.py')], 'needs data_root and model.corruptor'),
    ],
)
def test_mistakes_exit_with_2_and_say_what_is_wrong(tmp_path, capsys, args, message):
    (tmp_path / 'ann.json').write_text('[{"text": "a"}, {"text": 1}]')
    paths = dict(OUT=str(tmp_path / 'out'), ANN=str(tmp_path / 'ann.json'))
    assert main(['forge', *(paths.get(arg, arg) for arg in args)]) == 2
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
    assert not (tmp_path / 'out').exists()


def test_trains_a_tokenizer(tmp_path, capsys):
    (tmp_path / 'ann.json').write_text(json.dumps([dict(text='the 41st president waves')] * 6))
    assert main(['forge', 'tokenizer', str(tmp_path / 'ann.json'), str(tmp_path / 'tok'), '--vocab-size', '300']) == 0
    assert capsys.readouterr().out == f'wrote {tmp_path / "tok"}\n'
    assert len(json.loads((tmp_path / 'tok/vocab.json').read_text())) <= 300


def test_progress_is_a_line_for_a_tenth_where_there_is_no_terminal(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    with progress('records drawn') as tell:
        for done in range(1, 101):
            now[0] += 0.15  # 1.5 seconds for a tenth
            tell(done, 100)
    expected = [f'{n} of 100 records drawn ({n} %, 6.7 a second)' for n in range(10, 101, 10)]
    assert capsys.readouterr().err.splitlines() == expected
    with progress('records drawn') as tell:
        for done in range(1, 101):
            now[0] += 0.05
            tell(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and lines[0].startswith('20 of 100')
    with progress('records drawn') as tell:
        for done in range(1, 100):
            now[0] += 30
            tell(done, 10_000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 49 and lines[0] == '2 of 10000 records drawn (0 %, 0.0 a second)'


def test_ctrl_c_says_that_the_set_is_unfinished(tmp_path):
    """A terminal sends it to the workers as well: they are silent."""
    out = tmp_path / 'set'
    ours, theirs = pty.openpty()
    command = [sys.executable, '-m', 'mmvlforge', 'forge', 'news', str(out), '--num', '100000', '--workers', '2']
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )
    os.close(theirs)
    deadline = time.time() + 100
    while not list(out.glob('DGM4/origin/*/*/*.jpg')):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said = b''
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert process.wait() == 130
    text = said.decode()
    assert f'stopped. {out} is unfinished; the same command makes it anew' in ' '.join(text.split())
    assert 'records drawn' in text  # the bar
    assert 'Traceback' not in text
    assert (out / 'mini_dgm4.json.part').exists()


def test_as_a_command(tmp_path):
    """The workers are started anew from here too, and a finished set is as another number of them makes it."""
    args = ['forge', 'news', tmp_path / 'set', '--num', 9, '--num-val', 9, '--num-test', 9]
    run_tool('-m', 'mmvlforge', *args, '--workers', 2, cwd=tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / 'set').rglob('*') if path.is_file()}
    assert main([*map(str, args), '--workers', '1', '--seed', '1', '--force']) == 0
    assert main([*map(str, args), '--workers', '1', '--force']) == 0
    assert {path: path.read_bytes() for path in (tmp_path / 'set').rglob('*') if path.is_file()} == before


def test_one_maker_a_folder_and_after_a_kill_the_next_one_finds_it_usable(tmp_path, capsys):
    """Two at once once left a set that was marked finished without a third of its pictures."""
    out = tmp_path / 'set'
    command = [sys.executable, '-m', 'mmvlforge', 'forge', 'news', str(out), '--num', '100000', '--workers', '2']
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.time() + 100
    while not list(out.glob('DGM4/origin/*/*/*.jpg')):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.05)
    for kind in ('news', 'captions'):
        again = ['forge', kind, str(out), '--num', '9', '--num-val', '9', '--num-test', '9', '--workers', '1']
        assert main([*again, '--seed', '1']) == 2
        err = capsys.readouterr().err
        assert f'{out} is in use: a maker of mini_dgm4, process {process.pid} on ' in err and 'Traceback' not in err
    assert process.poll() is None and list(out.glob('DGM4/origin/*/*/*.jpg'))
    process.kill()
    process.wait()
    again[1] = 'news'
    assert main(again) == 0
    records = [
        r for split in ('train', 'val', 'test') for r in json.loads((out / f'metadata/{split}.json').read_text())
    ]
    pictures = {str(path.relative_to(out)) for path in out.rglob('*.jpg')}
    assert pictures == {record['image'] for record in records} and len(records) == 27
    assert not (out / LOCK_FILE).exists()
