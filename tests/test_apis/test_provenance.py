"""Content credentials and EXIF: signed by certificates that are made here, unbroken, tampered with, and absent."""

import datetime
import io
import sys

import numpy as np
import pytest
from PIL import Image

from mmvlforge.apis.provenance import STATES, read_provenance
from mmvlforge.datasets.transforms.loading import UnusableImageError


def picture(kind: str = 'JPEG', **settings) -> bytes:
    ramp = np.tile(np.arange(96, dtype=np.uint8), (64, 1))
    file = io.BytesIO()
    Image.fromarray(ramp).convert('RGB').save(file, kind, **settings)
    return file.getvalue()


@pytest.fixture(scope='module')
def signed() -> bytes:
    """A picture with a manifest that says it was generated, signed by nobody that is known."""
    c2pa = pytest.importorskip('c2pa')
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Test News'),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def certificate(common: str, key, issuer: str, issuer_key, authority: bool):
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = dict.fromkeys(
            (
                *('content_commitment', 'key_encipherment', 'data_encipherment', 'key_agreement'),
                *('encipher_only', 'decipher_only'),
            ),
            False,
        )
        usage.update(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority)
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_id, critical=False)
        )
        if not authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = certificate('Signer', own, 'Root', root, False) + certificate('Root', root, 'Root', root, True)
    private = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    source = 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia'
    actions = dict(actions=[dict(action='c2pa.created', digitalSourceType=source)])
    manifest = dict(
        claim_generator_info=[dict(name='picture maker', version='1')],
        assertions=[dict(label='c2pa.actions.v2', data=actions)],
    )
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(alg='es256', sign_cert=chain, private_key=private, ta_url=None))
    out = io.BytesIO()
    with c2pa.Builder(manifest) as builder:
        builder.sign(signer, 'image/jpeg', io.BytesIO(picture()), out)
    return out.getvalue()


def test_a_signed_picture(signed):
    found = read_provenance(signed)
    assert found == dict(
        c2pa='valid',
        c2pa_details=dict(
            signed_by='Test News',
            made_with='picture maker',
            actions=['c2pa.created (trainedAlgorithmicMedia)'],
            faults=['signingCredential.untrusted'],
        ),
        exif_software=None,
    )
    assert 'nobody has said whether the signer is to be trusted' in STATES[found['c2pa']]


@pytest.mark.parametrize(
    ('place', 'fault'), [(-30, 'assertion.dataHash.mismatch'), (b'trainedAlgo', 'assertion.hashedURI.mismatch')]
)
def test_a_change_after_signing_is_told(signed, place, fault):
    changed = bytearray(signed)
    changed[place if isinstance(place, int) else signed.index(place)] ^= 1
    found = read_provenance(bytes(changed))
    assert found['c2pa'] == 'invalid' and fault in found['c2pa_details']['faults']


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'GIF', 'TIFF'])
def test_most_pictures_have_none(kind):
    pytest.importorskip('c2pa')
    assert read_provenance(picture(kind)) == dict(c2pa='none', c2pa_details=None, exif_software=None)


def test_kinds_that_carry_none():
    pytest.importorskip('c2pa')
    assert read_provenance(picture('BMP'))['c2pa'] == 'not read: c2pa-python knows no image/bmp'


def test_without_the_package_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, 'c2pa', None)
    exif = Image.Exif()
    exif[305] = 'Picture Editor 3\n'
    found = read_provenance(picture(exif=exif))
    assert found['c2pa'] == "not read: pip install 'mmvlforge[provenance]'"
    assert found['exif_software'] == 'Picture Editor 3\\n'


def test_damaged_credentials_and_what_is_no_picture(signed):
    found = read_provenance(signed.replace(b'jumb', b'jump', 1))
    assert found['c2pa'].startswith('not read: ') and found['c2pa_details'] is None
    with pytest.raises(UnusableImageError, match='a.jpg cannot be read'):
        read_provenance(b'nothing', 'a.jpg')
