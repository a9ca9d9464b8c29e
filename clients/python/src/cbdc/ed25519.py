"""Ed25519 as nodes verify it (ZIP-215). OpenSSL signs and verifies; what it refuses is decided here by the exact rule.

Whatever OpenSSL accepts, ZIP-215 accepts. It accepts a little more, which only somebody who crafts a signature makes:
encodings that are not reduced, and components of small order. So the slow path is taken for refused signatures alone.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T
_IDENTITY: _Point = (0, 1, 1, 0)


def private_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is valid under ZIP-215."""
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return _verify_zip215(key, message, signature)


def is_fit_for_wallet(key: bytes) -> bool:
    """Whether a wallet may have the key: a point whose order does not divide 8."""
    point = _decompress(key)
    return point is not None and not _is_identity(_times_8(point))


def _verify_zip215(key: bytes, message: bytes, signature: bytes) -> bool:
    a, r, s = _decompress(key), _decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    difference = _add(_add(r, _multiply(k, a)), _multiply(_L - s, _BASE))
    return _is_identity(_times_8(difference))


def _decompress(encoding: bytes) -> _Point | None:
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % _P
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if (v * x * x + u) % _P == 0 and u != 0:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (v * x * x - u) % _P != 0:
        return None
    if x & 1 != sign:
        x = -x % _P
    return (x, y, 1, x * y % _P)


def _add(first: _Point, second: _Point) -> _Point:
    (x1, y1, z1, t1), (x2, y2, z2, t2) = first, second
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _multiply(scalar: int, point: _Point) -> _Point:
    result = _IDENTITY
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _times_8(point: _Point) -> _Point:
    return _multiply(8, point)


def _is_identity(point: _Point) -> bool:
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0


_base = _decompress((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
assert _base is not None, "4/5 is the y of the base point"
_BASE: _Point = _base
