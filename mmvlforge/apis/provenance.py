"""What a picture's file says of where it comes from: signed content credentials (C2PA), and EXIF.

It stands beside a verdict and never enters it: what is not signed is most of all pictures, and who can write a file can
write its EXIF.
"""

import io
from typing import Any

from PIL import Image

from mmvlforge.annotations.values import one_line
from mmvlforge.datasets.transforms.loading import MAX_PIXELS, open_image

__all__ = ['STATES', 'read_provenance']

STATES = {
    'none': 'no content credentials: unknown, which is not fake',
    'valid': 'unbroken since it was signed; nobody has said whether the signer is to be trusted',
    'trusted': 'unbroken since it was signed, by a signer on the trust list',
    'invalid': 'the picture or its credentials were changed after signing, or the signature is broken',
}
_SOFTWARE = 305  # tag of EXIF
_OFFLINE: dict[str, Any] = dict(verify=dict(remote_manifest_fetch=False, ocsp_fetch=False))


def read_provenance(data: bytes, name: str = 'picture', max_pixels: int = MAX_PIXELS) -> dict:
    """Read what is there; nothing is fetched.

    Args:
        data: The file's bytes.
        name: What an error calls it.
        max_pixels: A picture of more is refused.

    Returns:
        ``c2pa``, a key of ``STATES`` or ``'not read: ...'`` with the reason; ``c2pa_details``, None without any, else
        ``signed_by``, ``made_with``, ``actions`` (what was done, each with its kind of source where that is said) and
        ``faults``; ``exif_software``, None if EXIF names none.

    Raises:
        UnusableImageError: The bytes are no picture, or one of too many pixels.
    """
    with open_image(data, name, max_pixels) as image:
        mime = Image.MIME.get(image.format or '', '')
        try:
            software = image.getexif().get(_SOFTWARE)
        except Exception:  # of strange bytes, as in decoding
            software = None
    state, details = _credentials(data, mime)
    return dict(c2pa=state, c2pa_details=details, exif_software=_text(software))


def _text(value: Any) -> str | None:
    text = one_line(str(value)).strip('\0 ') if value else ''
    return text[:200] or None


def _credentials(data: bytes, mime: str) -> tuple[str, dict | None]:
    try:
        from c2pa import C2paError, Context, Reader, Settings
    except ImportError:
        return "not read: pip install 'mmvlforge[provenance]'", None
    if mime not in Reader.get_supported_mime_types():
        return f'not read: c2pa-python knows no {mime or "such files"}', None
    try:
        with Context(Settings.from_dict(_OFFLINE)) as context:
            reader = Reader.try_create(mime, io.BytesIO(data), context=context)
            if reader is None:
                return 'none', None
            with reader:
                state, manifest = reader.get_validation_state(), reader.get_active_manifest() or {}
                results = reader.get_validation_results() or {}
    except C2paError as error:
        return f'not read: {one_line(str(error))}', None
    signer = manifest.get('signature_info') or {}
    makers = manifest.get('claim_generator_info') or []
    actions = [
        action
        for assertion in manifest.get('assertions') or []
        if str(assertion.get('label')).startswith('c2pa.actions')
        for action in (assertion.get('data') or {}).get('actions') or []
    ]
    failures = (results.get('activeManifest') or {}).get('failure') or []
    told = (state or '').lower()
    return told if told in STATES else f'not read: c2pa-python says {state!r:.60}', dict(
        signed_by=_text(signer.get('issuer') or signer.get('common_name')),
        made_with=_text(', '.join(str(maker.get('name')) for maker in makers)),
        actions=[_told(action) for action in actions[:20]],
        faults=[_text(failure.get('code')) for failure in failures[:20]],
    )


def _told(action: dict) -> str:
    """Such as 'c2pa.created (trainedAlgorithmicMedia)'."""
    source = str(action.get('digitalSourceType') or '').rpartition('/')[2]
    return one_line(f'{action.get("action")}{f" ({source})" if source else ""}')[:200]
