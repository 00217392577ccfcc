"""The image host: a tiny JPEG for every photo, each with its own bytes."""

import hashlib
from functools import lru_cache

from flickr_sim.answers import Answer
from flickr_sim.methods.shapes import SIZES
from flickr_sim.world.models import SERVER, Photo
from flickr_sim.world.state import World

# A complete one-pixel baseline JPEG; a comment segment with the photo's id goes in behind its first two bytes.
_PIXEL = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300"
    + "01" * 64
    + "ffc0000b080001000101011100ffc4001f0000010501010101010100000000000000000102030405060708090a0b"
    + "ffc400b5100002010303020403050504040000017d"
    + "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a"
    + "3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a"
    + "92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9da"
    + "e1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    + "ffda0008010100003f00fbffd9"
)
_SUFFIXES = {size.suffix: size for size in SIZES}


def jpeg(photo_id: str) -> bytes:
    """Return the image of a photo."""
    comment = f"flickr_sim photo {photo_id}".encode("ascii", "replace")
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return _PIXEL[:2] + segment + _PIXEL[2:]


@lru_cache(maxsize=20_000)
def digest(photo_id: str) -> str:
    """Return the SHA-256 of a photo's image, in hex."""
    return hashlib.sha256(jpeg(photo_id)).hexdigest()


def image(world: World, *, server: str, name: str) -> Answer:
    """Answer `/{server}/{id}_{secret}[_{suffix}].jpg`; who knows the secret may see the image, as on Flickr."""
    parts = name.split("_")
    photo = world.photos.get(parts[0])
    suffix = parts[2] if len(parts) == 3 else ""
    if photo is None or server != SERVER or not 2 <= len(parts) <= 3 or suffix not in _SUFFIXES:
        return Answer(404, b"Not Found")
    if parts[1] != _secret(photo, suffix):
        return Answer(404, b"Not Found")
    return Answer(200, jpeg(photo.id), "image/jpeg")


def _secret(photo: Photo, suffix: str) -> str:
    return photo.original_secret if suffix in ("h", "k", "o") else photo.secret
