"""The evidence report: whole, escaped, without a network, and the same as its JSON."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from mmvlforge import ManipulationInferencer
from mmvlforge.cli import main
from mmvlforge.reports.evidence import UNKNOWABLE, evidence, write_evidence


@pytest.fixture(scope='module')
def picture(mini_set) -> str:
    record = json.loads((mini_set / 'metadata/test.json').read_text())[0]
    return str(mini_set / record['image'])


def test_a_report_says_all_there_is(detector, picture, tmp_path, capsys):
    caption = 'A <b>bold</b> & "quoted" caption'
    page = tmp_path / 'new/evidence.html'
    args = ['check', picture, caption, '--model', str(detector), '--report', str(page), '--date', '2026-01-02']
    assert main(args) == 0
    assert f'report: {page}\n' in capsys.readouterr().out
    told = json.loads(page.with_suffix('.json').read_text())
    result = told['result']
    assert told['schema'] == 'mmvlforge.evidence/1' and told['date'] == '2026-01-02'
    assert result['image_sha256'] == hashlib.sha256(Path(picture).read_bytes()).hexdigest()
    assert told['caption_sha256'] == hashlib.sha256(caption.encode()).hexdigest()
    assert told['model']['known_failures'] == ['the model knows only drawn scenes']
    assert told['model']['calibration'] is None and told['unknowable'] == list(UNKNOWABLE)
    html = page.read_text(encoding='utf-8')
    text = re.sub(r'base64,[^"]+', '', html)
    assert 'http' not in text and '<script' not in text and '<b>bold</b>' not in text
    for shown in (
        *(result['image_sha256'], told['caption_sha256'], result['model']['fingerprint'], '2026-01-02'),
        *('&lt;b&gt;bold&lt;/b&gt; &amp; &#34;quoted&#34;', f'Verdict: {result["verdict"]}', 'What it cannot know'),
        *('nothing: scores are raw', 'not calibrated: scores are raw', 'mean unknown, not fake', 'recompressed'),
    ):
        assert shown in text, shown
    assert html.count('src="data:image/jpeg;base64,') == 1


def test_hits_of_an_index_and_credentials_are_told(detector, picture, tmp_path):
    check = ManipulationInferencer(detector)
    result = check((picture, 'a caption'))['predictions'][0]
    result['index_hits'] = [dict(path='old.jpg', caption='another caption', similarity=0.99)]
    details = dict(signed_by='A Signer', made_with='A Camera', actions=['c2pa.created'], faults=[])
    result['provenance'] = dict(c2pa='invalid', c2pa_details=details, exif_software='An Editor')
    write_evidence(tmp_path / 'a.html', check, result, None, 'today')
    text = (tmp_path / 'a.html').read_text()
    assert all(
        shown in text for shown in ('another caption', 'A Signer', 'A Camera', 'An Editor', 'changed after signing')
    )
    result['index_hits'] = []
    write_evidence(tmp_path / 'a.html', check, result, None, 'today')
    assert 'None in the index that was searched' in (tmp_path / 'a.html').read_text()


def test_pictures_and_captions_alone(detector, picture, tmp_path):
    check = ManipulationInferencer(detector)
    for query in (dict(image=picture), dict(caption='a caption')):
        result = check(query)['predictions'][0]
        write_evidence(tmp_path / 'a.html', check, result, None, 'today')
        assert 'Verdict: none' in (tmp_path / 'a.html').read_text()
        assert (evidence(check, result, 'today')['caption_sha256'] is None) == ('image' in query)


def test_a_page_ends_in_html(detector, picture, tmp_path, capsys):
    args = ['check', picture, 'a', '--model', str(detector), '--report', str(tmp_path / 'a.json')]
    assert main(args) == 2
    assert 'a.json: must end in .html' in capsys.readouterr().err
