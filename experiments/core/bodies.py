"""Request bodies: within their limit, and unpacked without trusting what they claim to be."""

from __future__ import annotations

import zlib

from experiments.core.protocol import ApiError, ClientRequest

_GZIP = 16 + zlib.MAX_WBITS


def plain_body(request: ClientRequest, *, limit_bytes: int) -> bytes:
    """Return the body, unpacked when it is gzip.

    Never more than `limit_bytes` are unpacked, so a small body that would grow into gigabytes costs nothing.

    Raises: ApiError 413 `body_too_large`, 400 `gzip_malformed`, 415 `encoding_unknown`.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        if len(request.body) > limit_bytes:
            raise too_large(limit_bytes)
        return request.body
    if encoding not in ("gzip", "x-gzip"):
        raise ApiError(
            415,
            "encoding_unknown",
            f"The body is encoded as '{encoding[:50]}', which is not understood.",
            "Send it plain, or with `Content-Encoding: gzip`.",
        )
    return _unzip(request.body, limit_bytes)


def too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413,
        "body_too_large",
        f"The body is larger than {limit_bytes:,} bytes.",
        "Send less at a time, in several requests.",
    )


def _unzip(packed: bytes, limit_bytes: int) -> bytes:
    plain = bytearray()
    while packed:  # a gzip file may consist of several members, one after the other
        member = zlib.decompressobj(wbits=_GZIP)
        try:
            plain += member.decompress(packed, limit_bytes + 1 - len(plain))
        except zlib.error as error:
            raise _malformed(str(error)) from None
        if len(plain) > limit_bytes:
            raise too_large(limit_bytes)
        if not member.eof:
            raise _malformed("it ends too early")
        packed = member.unused_data
    return bytes(plain)


def _malformed(detail: str) -> ApiError:
    return ApiError(
        400,
        "gzip_malformed",
        f"The body says it is gzip but cannot be unpacked: {detail}.",
        "Compress the whole body with gzip, or leave out `Content-Encoding`.",
    )
