"""Private SSH keys: read and generated. Importing it loads a library with 7 MiB of code."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from quiesce.api.host import KeyType
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import KeyPair, read_public

_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_RSA_BITS = 4096
_RSA_MINIMUM = 2048
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""Those of SSH (RFC 5656, 10.1)."""
_LONGEST_PRIVATE = 8 * 1024
"""Bytes: RSA with 8192 bits has 6.5 KiB. The primes of a much longer one take minutes to check."""


def generate(type_: KeyType) -> KeyPair:
    """A new pair without passphrase, which Nova could not enter: Ed25519, ECDSA P-256, RSA 4096."""
    made: _PrivateKey
    match type_:
        case KeyType.ED25519:
            made = ed25519.Ed25519PrivateKey.generate()
        case KeyType.ECDSA:
            made = ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            made = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return _pair(made)


def read_pair(private: bytes, what: str) -> KeyPair:
    """A private key file (OpenSSH or PEM) as a pair; `what` names it in messages. Raises BadKey.

    The text stays as it is, except for line ends: written again it would differ every time
    (the format holds a random check number).
    """
    public = read_pair_normalized(private, what).public
    try:
        text = private.decode()
    except UnicodeDecodeError as error:  # beside the key itself
        raise _no_key(what) from error
    return KeyPair(public, "\n".join(text.split("\r\n")).strip() + "\n")


def read_pair_normalized(private: bytes, what: str) -> KeyPair:
    """The same, with the private key in OpenSSH's format whatever it was in. Raises BadKey."""
    return _pair(_load(private, what))


def _load(private: bytes, what: str) -> _PrivateKey:
    if len(private) > _LONGEST_PRIVATE:
        raise BadKey(f"{what} is longer than {_LONGEST_PRIVATE // 1024} KiB: use an Ed25519 key")
    try:
        if b"BEGIN OPENSSH PRIVATE KEY" in private:
            loaded: object = serialization.load_ssh_private_key(private, password=None)
        else:
            loaded = serialization.load_pem_private_key(private, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The parser's message may quote key material: it is dropped on purpose.
        raise _no_key(what) from error
    if isinstance(loaded, rsa.RSAPrivateKey) and loaded.key_size < _RSA_MINIMUM:
        raise BadKey(
            f"{what} is an RSA key of {loaded.key_size} bits: "
            f"use Ed25519, or RSA with {_RSA_MINIMUM} bits or more"
        )
    odd = isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.curve.name not in _CURVES
    if odd or not isinstance(
        loaded, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        raise BadKey(f"{what} is of an unsupported type: use an Ed25519, ECDSA or RSA key")
    return loaded


def _no_key(what: str) -> BadKey:
    return BadKey(f"{what} is not a private key without passphrase in OpenSSH or PEM format")


def _pair(key: _PrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return KeyPair(read_public(public.decode()), private.decode())
