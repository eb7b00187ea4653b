"""An index: the same whatever store it is in, however often it is built, and whenever its maker is killed."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from PIL import Image
from project import environment

from mmvlforge import RetrievalInferencer
from mmvlforge.apis.index import PictureIndex, asked_with, known_pictures
from mmvlforge.apis.index_sources import picture_bytes, read_source
from mmvlforge.apis.index_stores import Entry, ExactStore, open_store
from mmvlforge.cli import main


@pytest.fixture(scope='module')
def ask(retriever):
    return RetrievalInferencer(retriever, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def archive(tmp_path_factory):
    """Forty pictures of noise, one of them twice, and what every archive has besides; a list with columns."""
    folder = tmp_path_factory.mktemp('archive')
    (folder / 'deep').mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        picture(folder / f'{number:02d}.png', rng)
    shutil.copy(folder / '00.png', folder / 'deep/copy.png')
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'torn.png').write_bytes((folder / '01.png').read_bytes()[:80])
    lines = ['image,caption,year,source']
    lines += [
        f'{number:02d}.png,picture {number},{2000 + number},{"ap" if number % 2 else "dpa"}' for number in range(40)
    ]
    lines += ['00.png,another caption,,', 'none.png,lost,1,x', ',no picture,1,x', 'deep/copy.png,,,']
    (folder / 'list.csv').write_text('\n'.join(lines) + '\n')
    return folder


def picture(path, rng):
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(path)


@pytest.fixture(params=['exact', 'lite.db'])
def uri(request, tmp_path):
    if request.param.endswith('.db'):
        pytest.importorskip('milvus_lite')
    return str(tmp_path / request.param)


def contents(index):
    return sorted((entry for entries, _ in index.store.rows() for entry in entries), key=lambda entry: entry.id)


def test_an_archive_is_built_and_searched(ask, archive, uri):
    index = PictureIndex(uri, ask, new=True)
    done = index.add(str(archive / 'list.csv'), batch_size=8, block=16)
    assert (done.records, done.new, done.removed) == (44, 40, 0)
    assert len(done.left_out) == 2 and 'none.png' in done.left_out[0]
    assert done.left_out[1] == f'{archive}/list.csv, record 43: has no image'
    first = next(entry for entry in contents(index) if len(entry.paths) == 2)
    assert first.paths == [str(archive / '00.png'), str(archive / 'deep/copy.png')]
    assert first.captions == ['picture 0', 'another caption'] and first.fields == dict(year='2000', source='dpa')

    vectors = ask.encode_images([str(archive / f'{n:02d}.png') for n in range(40)])
    text = ask.encode_texts(['cars'])[0]
    found = index.search('cars', topk=5)
    order = np.argsort(-(vectors @ text), kind='stable')[:5]
    assert [hit.entry.paths[0][-6:-4] for hit in found] == [f'{n:02d}' for n in order]
    assert [hit.similarity for hit in found] == pytest.approx((vectors @ text)[order].tolist(), abs=1e-5)
    assert index.search(image=str(archive / '07.png'), topk=1)[0].similarity == pytest.approx(1, abs=1e-5)
    both = vectors[7] + text
    assert np.allclose(index.vector('cars', str(archive / '07.png')), both / np.linalg.norm(both), atol=1e-6)
    for where, wanted in (
        ("year >= 2030 and source == 'ap'", [31, 33, 35, 37, 39]),
        ('not (year < 2038)', [38, 39]),
        ('year in [2000, 2005]', [0, 5]),
        ('year == 1', []),
    ):
        hits = index.search('cars', topk=40, where=where)
        assert sorted(int(hit.entry.paths[0][-6:-4]) for hit in hits) == wanted, where
    assert index.recall(20) == pytest.approx(1)


def test_it_is_added_to_changed_and_deleted_from(ask, archive, uri, tmp_path):
    folder = tmp_path / 'archive'
    shutil.copytree(archive, folder)
    index = PictureIndex(uri, ask, new=True)
    done = index.add(str(folder), workers=0)
    assert (
        done.new == 40
        and len(done.left_out) == 2
        and 'empty.jpg' in done.left_out[0]
        and 'torn.png' in done.left_out[1]
    )
    before = contents(index)
    again = index.add(str(folder), workers=0)
    assert (again.new, again.changed, again.removed) == (0, 0, 0) and contents(index) == before
    picture(folder / '05.png', np.random.default_rng(1))  # another one at the same place
    picture(folder / '00.png', np.random.default_rng(2))  # of this one a copy is left
    picture(folder / '99.png', np.random.default_rng(3))
    later = index.add(str(folder), workers=0)
    assert (later.new, later.changed, later.removed) == (3, 1, 1)
    copy = index.store.at([str(folder / 'deep/copy.png')])
    assert [entry.paths for entry in copy] == [[str(folder / 'deep/copy.png')]]
    assert index.store.count() == 42
    (folder / '10.png').unlink()
    assert index.delete(index.gone()) == 1
    assert index.delete([str(folder / '11.png'), copy[0].id]) == 2 and index.store.count() == 39
    with pytest.raises(ValueError, match=r'11.png: is no picture of .*; nothing was removed'):
        index.delete([str(folder / '12.png'), str(folder / '11.png')])
    assert index.store.count() == 39
    reopened = PictureIndex(uri) if uri.endswith('exact') else index
    assert contents(reopened) == contents(index)


def test_another_model_is_refused(ask, archive, uri, retriever, tmp_path):
    PictureIndex(uri, ask, new=True)
    if uri.endswith('.db'):
        return  # the same code; Milvus Lite opens a file once
    other = tmp_path / 'other'
    shutil.copytree(retriever, other)
    config = other / 'tiny.py'
    config.write_text(config.read_text() + '\nmodel.update(momentum_features=True)\n')
    with pytest.raises(ValueError, match=r'was built by other settings \(model\)'):  # the same weights, other encoder
        PictureIndex(uri, RetrievalInferencer(other, device='cpu'))
    shutil.copy(retriever / 'tiny.py', config)
    PictureIndex(uri, RetrievalInferencer(other, device='cpu'))  # the same, moved
    config.write_text(config.read_text() + "\ntest_dataloader['dataset']['pipeline'][0]['max_pixels'] = 7\n")
    told = r'was built by other preprocessing \(test pipeline\): the fingerprint was \w+, not \w+'
    with pytest.raises(ValueError, match=told):
        PictureIndex(uri, RetrievalInferencer(other, device='cpu'))
    about = json.loads((tmp_path / 'exact/about.json').read_text())
    (tmp_path / 'exact/about.json').write_text(json.dumps(dict(about, model=dict(about['model'], fingerprint='0'))))
    with pytest.raises(ValueError, match=r'was built by other model \(tiny\): the fingerprint was 0, not \w+ \(tiny\)'):
        PictureIndex(uri, ask)
    (tmp_path / 'exact/about.json').write_text(json.dumps(dict(about, schema='mmvlforge.index/9')))
    with pytest.raises(ValueError, match="is an index of the form 'mmvlforge.index/9', this program reads"):
        PictureIndex(uri)


def test_no_config_runs_because_an_index_names_it(ask, archive, retriever, tmp_path, capsys):
    """The starter model alone is known by its name; about any other whoever asks must say where it lies."""
    uri = str(tmp_path / 'index')
    PictureIndex(uri, ask, new=True)
    about = json.loads((tmp_path / 'index/about.json').read_text())
    assert 'named' not in about
    told = f'was built with the model tiny (fingerprint {about["model"]["fingerprint"]}); say where it lies: --model M'
    for named in (None, str(retriever / 'tiny.py'), [], 'starter'):
        (tmp_path / 'index/about.json').write_text(json.dumps(dict(about, named=named)))
        if named != 'starter':
            assert main(['index', 'search', 'cars', '--uri', uri]) == 2
            assert told in capsys.readouterr().err
    assert asked_with(uri) == 'starter'
    for broken in (dict(model='x'), dict(model={}), dict(settings=None), dict(preprocessing={'fingerprint': 1})):
        (tmp_path / 'index/about.json').write_text(json.dumps(dict(about, **broken)))
        with pytest.raises(ValueError, match=f'does not say which {next(iter(broken))} it was built with'):
            PictureIndex(uri)
    for dims in (None, 0, '4', True):
        (tmp_path / 'index/about.json').write_text(json.dumps(dict(about, dims=dims)))
        with pytest.raises(ValueError, match=r'about.json: dims is .*, must be a whole number'):
            PictureIndex(uri)


def test_the_log_of_an_exact_index_may_be_torn(tmp_path):
    store = ExactStore(str(tmp_path / 'index'))
    store.create({}, 2)
    entries = [Entry(str(i), [f'/{i}.jpg'], ['a'], {}) for i in range(3)]
    store.put(entries, np.eye(3, 2, dtype=np.float32))
    log = tmp_path / 'index/entries.jsonl'
    log.write_bytes(log.read_bytes()[:-9])
    (tmp_path / 'index/vectors.f32').open('ab').write(b'abc')
    again = ExactStore(str(tmp_path / 'index'))
    assert list(again.entries) == ['0', '1']
    again.put(entries[2:], np.array([[0.6, 0.8]]))
    again.delete(['0'])
    last = ExactStore(str(tmp_path / 'index'))
    assert [[hit.entry.id for hit in hits] for hits in last.search(np.array([[0.6, 0.8]]), 5)] == [['2', '1']]
    log.write_text('{"id": "1", "row": 9, "paths": ["/a"], "captions": [], "fields": {}}\n')
    with pytest.raises(ValueError, match=r'entries.jsonl:1: names row 9 of 4 in vectors.f32, which was cut off'):
        ExactStore(str(tmp_path / 'index'))
    log.write_text('{"id": "1", "row": 0, "paths": [3], "captions": [], "fields": {}}\n')
    with pytest.raises(ValueError, match='entries.jsonl:1: is no line of an index'):
        ExactStore(str(tmp_path / 'index'))
    log.write_text('{"id": 1}\n')
    with pytest.raises(ValueError, match='entries.jsonl:1: is no line of an index'):
        ExactStore(str(tmp_path / 'index'))


@pytest.mark.parametrize('store', ['exact', 'lite.db'])
def test_killed_at_any_moment_nothing_is_lost_or_doubled(ask, archive, retriever, tmp_path, store):
    """SIGKILL after 0, 8, 16, 24 pictures; the same command goes on, and ends with what an undisturbed run has."""
    if store.endswith('.db'):
        pytest.importorskip('milvus_lite')
    uri = str(tmp_path / store)
    code = (
        'import sys; from mmvlforge import RetrievalInferencer; from mmvlforge.apis.index import PictureIndex\n'
        f'ask = RetrievalInferencer({str(retriever)!r}, device="cpu", show_progress=False)\n'
        f'index = PictureIndex({uri!r}, ask, new=True)\n'
        f'done = index.add({str(archive / "list.csv")!r}, batch_size=4, workers=1, block=8,\n'
        '    progress=lambda n: print(index.store.count(), flush=True))\n'
        'print("done", done.records, flush=True)\n'
    )
    seen = []
    for wanted in (0, 8, 24, None):
        run = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, env=environment())
        for line in run.stdout:
            if line.startswith('done'):
                assert line == 'done 44\n' and wanted is None
            elif wanted is not None and int(line) >= wanted:
                seen.append(int(line))
                run.send_signal(signal.SIGKILL)
                break
        run.stdout.close()
        assert run.wait() == (0 if wanted is None else -signal.SIGKILL)
    assert seen[0] < seen[-1] < 40
    whole = PictureIndex(str(tmp_path / 'whole'), ask, new=True)
    whole.add(str(archive / 'list.csv'))
    index = PictureIndex(uri, ask)
    assert [e._replace(paths=sorted(e.paths)) for e in contents(index)] == contents(whole)
    assert index.store.count() == 40
    deadline = time.time() + 20  # nor does a process stay behind
    while left := [pid for pid in os.listdir('/proc') if pid.isdigit() and of(pid, uri)]:
        assert time.time() < deadline, left
        time.sleep(0.2)


def of(pid: str, uri: str) -> bool:
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            return uri.encode() in file.read() and pid != str(os.getpid())
    except OSError:
        return False


def test_tars_are_read_and_their_pictures_found_again(ask, archive, tmp_path):
    path = tmp_path / 'a{0..0}.tar'
    with tarfile.open(tmp_path / 'a0.tar', 'w') as tar:
        for name, data in (
            ('x/1.PNG', (archive / '01.png').read_bytes()),
            ('x/1.txt', b'one\ncaption'),
            ('x/1.json', b'{"year": 2001, "list": [1]}'),
            ('2.txt', b'no picture'),
            ('3.jpg', b'broken'),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    index = PictureIndex(str(tmp_path / 'index'), ask, new=True)
    done = index.add(str(path))
    assert done.records == 3 and done.new == 1
    assert "has ['txt'], none of them a picture" in done.left_out[0] and '3.jpg: ' in done.left_out[1]
    (entry,) = contents(index)
    assert entry[1:] == ([f'{tmp_path}/a0.tar::x/1.png'], ['one caption'], dict(year=2001, list=[1]))
    assert picture_bytes(entry.paths[0]) == (archive / '01.png').read_bytes()
    with pytest.raises(ValueError, match='a0.tar::none.png: cannot be read'):
        picture_bytes(f'{tmp_path}/a0.tar::none.png')


def test_sources_that_are_none(tmp_path):
    for source, told in (
        (tmp_path / 'none.csv', 'no such file'),
        (tmp_path / 'a{0..1}.tar', 'a0.tar: no such file .2 of 2 tars are missing'),
        (tmp_path / 'a.txt', 'must be a folder, a .csv or .jsonl file, or tars'),
    ):
        with pytest.raises(ValueError, match=told):
            list(read_source(str(source)))
    (tmp_path / 'b.csv').write_text('file,text\na,b\n')
    with pytest.raises(ValueError, match=r"needs a column 'image'.*\['file', 'text'\]"):
        list(read_source(str(tmp_path / 'b.csv')))
    (tmp_path / 'c.jsonl').write_text('{"image": "a.jpg", "n": [1]}\n{"image": 3}\n{"a"\n')
    told = [record.problem for record in read_source(str(tmp_path / 'c.jsonl'))]
    assert told[0] == ''
    assert 'c.jsonl:2: image is 3' in told[1] and 'c.jsonl:3' in told[2]
    with pytest.raises(ValueError, match='is a file; an exact index is a folder'):
        open_store(str(tmp_path / 'b.csv'))


def test_what_no_store_can_hold_is_left_out_and_told(ask, archive, uri, tmp_path):
    """A name or text that is not UTF-8, numbers beyond 64 bits, more captions of one picture than fit."""
    folder = tmp_path / 'strange'
    folder.mkdir()
    for number, name in enumerate((b'a.png', 'é 😀"\'\n.png'.encode(), b'\xff.png')):
        shutil.copy(archive / f'{number:02d}.png', os.fsencode(folder) + b'/' + name)
    index = PictureIndex(uri, ask, new=True)
    done = index.add(str(folder))
    assert done.new == 2 and len(done.left_out) == 1 and "'\\udcff', a byte that is not UTF-8," in done.left_out[0]
    assert done.left_out[0].isprintable()
    assert index.add(str(folder)).new == 0 and index.delete([str(folder / 'é 😀"\'\n.png')]) == 1
    lines = [dict(image='strange/a.png', caption=f'{n} {"x" * 20_000}') for n in range(3)]
    lines += [dict(image='strange/a.png', caption=text) for text in ('half \ud800', 'nul \0', 'good')]
    lines += [
        dict(image='strange/a.png', n=value) for value in (2**70, float('inf'), [1, {'a': '\ud800'}], [1, {'a': 2}])
    ]
    (tmp_path / 'a.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    done = index.add(str(tmp_path / 'a.jsonl'))
    assert done.records == 10 and done.changed == 1 and len(done.left_out) == 6
    assert sum('take 60' in line and 'at most 60000 fit' in line for line in done.left_out) == 1
    (entry,) = contents(index)
    assert [caption[:4] for caption in entry.captions] == ['0 xx', '1 xx', 'good']
    assert entry.fields == dict(n=[1, {'a': 2}])


def test_an_exact_index_may_have_several_readers_and_writers(tmp_path):
    """Each sees what the others have written, and takes nothing of it away."""
    first = ExactStore(str(tmp_path / 'index'))
    first.create(dict(dims=2), 2)
    second = ExactStore(str(tmp_path / 'index'))
    entry = [Entry(str(i), [f'/{i}.jpg'], [], {}) for i in range(4)]
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)
    first.put(entry[:2], vectors[:2])
    second.put(entry[2:3], vectors[2:3])
    first.put(entry[3:], vectors[3:])
    for store in (first, second, ExactStore(str(tmp_path / 'index'))):
        assert store.count() == 4 and list(store.get('0123')) == ['0', '1', '2', '3']
        assert [hit.entry.id for hit in store.search(vectors[:1], 4)[0]] == ['0', '3', '2', '1']
    second.delete(['0'])
    assert first.at(['/0.jpg', '/1.jpg']) == [entry[1]] and first.count() == 3
    shutil.rmtree(tmp_path / 'index')
    third = ExactStore(str(tmp_path / 'index'))
    third.create(dict(dims=2), 2)
    third.put(entry[:1], vectors[1:2])
    assert first.search(vectors[1:2], 4)[0] == [(entry[0], 1.0)]


def test_milvus_lite_lets_one_process_in(tmp_path):
    pytest.importorskip('milvus_lite')
    uri = str(tmp_path / 'lite.db')
    open_store(uri).create(dict(dims=4), 4)
    command = [sys.executable, '-m', 'mmvlforge', 'index', 'info', '--uri', uri]
    run = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert (run.returncode, run.stdout) == (2, '')
    told = 'cannot be opened: another process has it, and Milvus Lite lets one in, or it is damaged'
    assert run.stderr == f'error: {uri}: {told}\n'


def test_known_pictures(ask, archive, tmp_path):
    index = PictureIndex(str(tmp_path / 'index'), ask, new=True)
    index.add(str(archive / 'list.csv'))
    (found,) = known_pictures(index, str(archive / 'deep/copy.png'))
    assert found.kind == 'same' and found.entry.captions == ['picture 0', 'another caption']
    Image.open(archive / '03.png').save(tmp_path / 'copy.jpg', quality=95)
    (found,) = known_pictures(index, str(tmp_path / 'copy.jpg'), candidates=40)
    assert found.kind == 'nearly' and found.likeness > 0.95 and found.flat()['path'] == str(archive / '03.png')
    assert found.flat()['captions'] == ['picture 3'] and found.flat()['fields'] == dict(year='2003', source='ap')
    picture(tmp_path / 'new.png', np.random.default_rng(9))
    assert known_pictures(index, str(tmp_path / 'new.png'), candidates=40) == []


def test_check_tells_of_a_picture_that_is_known(ask, archive, detector, retriever, tmp_path, capsys):
    """Beside the verdict, which it does not enter."""
    PictureIndex(str(tmp_path / 'index'), ask, new=True).add(str(archive / 'list.csv'))
    command = ['check', str(archive / '07.png'), 'a caption', '--model', str(detector), '--device', 'cpu']
    assert main([*command, '--index', str(tmp_path / 'index')]) == 2
    assert 'was built with the model tiny' in (told := capsys.readouterr().err) and '--index-model M' in told
    command += ['--index-model', str(retriever)]
    assert main([*command, '--json']) == 0
    plain = json.loads(capsys.readouterr().out)
    page = tmp_path / 'report.html'
    assert main([*command, '--json', '--index', str(tmp_path / 'index'), '--report', str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop('index_hits')[0]['captions'] == ['picture 7'] and told == plain
    assert 'picture 7' in page.read_text()
    assert main([*command, '--index', str(tmp_path / 'index')]) == 0
    assert (
        f'known to the index: the same file, {archive}/07.png, with the caption "picture 7"' in capsys.readouterr().out
    )
    assert main(['check', '-', 'a caption', '--model', str(detector), '--index', str(tmp_path / 'index')]) == 2
    assert '--index looks a picture up' in capsys.readouterr().err


def test_the_command(archive, retriever, tmp_path, capsys):
    uri, out, rejects = str(tmp_path / 'index'), tmp_path / 'found.html', tmp_path / 'left_out.txt'
    assert main(['index', 'search', 'cars', '--uri', uri]) == 2
    assert 'holds no index; mmvlforge index build makes one' in capsys.readouterr().err
    build = ['index', 'build', str(archive / 'list.csv'), '--uri', uri, '--model', str(retriever), '--device', 'cpu']
    assert main([*build, '--left-out', str(rejects)]) == 3
    assert '44 records: 40 pictures new' in capsys.readouterr().out and len(rejects.read_text().splitlines()) == 2
    search = ['index', 'search', 'cars', '--uri', uri, '--filter', 'year < 2003', '--model', str(retriever)]
    assert main([*search, '--json', '--topk', '2', '--out', str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['schema'] == 'mmvlforge.search/1' and len(found['hits']) == 2
    assert set(found['hits'][0]) == {'id', 'paths', 'captions', 'fields', 'similarity'}
    assert 'Found among 40 pictures' in out.read_text() and 'data:image/jpeg' in out.read_text()
    assert main(search) == 0 and len(capsys.readouterr().out.splitlines()) == 3
    assert main(['index', 'info', '--uri', uri]) == 0
    told = capsys.readouterr().out
    assert '40 pictures in' in told and 'finds 100.0 % (of 40 looked for)' in told
    assert main(['index', 'delete', str(archive / '00.png'), '--uri', uri]) == 0
    assert main(['index', 'delete', str(archive / '00.png'), '--uri', uri]) == 2
    assert main(['index', 'add', str(archive / 'list.csv'), '--uri', uri, '--model', str(retriever)]) == 3
    assert '1 pictures new' in capsys.readouterr().out
    for wrong in (['index', 'search', '--uri', uri], ['index', 'delete', '--uri', uri], ['index', 'info']):
        assert main(wrong) == 2
