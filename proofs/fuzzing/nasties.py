"""Every operation's own good request, with one thing about it made bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from app.kit import ids
from proofs.fuzzing import words
from proofs.fuzzing.wire import Raw
from tests.api.probes import Probe, Upload, filled

MARK = "@nasty@"
EDGE = b"edge-of-the-parts"
FILE = b'; filename="a.png"\r\nContent-Type: image/png'
FORM_TYPE = b"multipart/form-data; boundary=" + EDGE


@dataclass(frozen=True, slots=True)
class Nasty:
    """`path`: the operation's, as described. `keyless`: only a refusal as a stranger will do."""

    name: str
    method: str
    path: str
    raw: Raw
    keyless: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends: the key, the things that are its own, and a participant's session on the pages."""

    key: str
    world: Mapping[str, str]
    cookie: bytes = b""

    @property
    def identity(self) -> tuple[tuple[bytes, bytes], ...]:
        return (b"Authorization", f"Bearer {self.key}".encode()), (b"Cookie", self.cookie)


def nasties(probe: Probe, caller: Caller, parameters: Sequence[str]) -> Iterator[Nasty]:
    """`probe` is an operation's control: nothing in it is a stranger's. `parameters`: what its query may name."""
    good = _good(probe, caller)
    yield from _bodies(probe, good, caller)
    yield from _addresses(good, parameters)
    yield from _heads(good, caller)


def _good(probe: Probe, caller: Caller) -> Nasty:
    path, query, text = filled(probe, dict(caller.world), "")
    target = path + (f"?{urlencode(query)}" if query else "")
    headers = [*caller.identity]
    body = text.encode()
    if isinstance(probe.body, Upload):
        headers.append((b"Content-Type", FORM_TYPE))
        body = _multipart((_part_name(probe), probe.body.content), ending=FILE)
    elif probe.body is not None:
        headers.append((b"Content-Type", _type_of(probe)))
    if probe.method == "POST":
        headers.append((b"Idempotency-Key", ids.new("try").encode()))
    raw = Raw(probe.method.encode(), target.encode(), tuple(headers), None if probe.body is None else body)
    return Nasty(probe.operation, probe.method, probe.operation.partition(" ")[2], raw)


def _part_name(probe: Probe) -> bytes:
    return b"avatar" if probe.path.endswith("/avatar") else b"file"


def _type_of(probe: Probe) -> bytes:
    if not isinstance(probe.body, str):
        return b"application/json"
    return b"application/x-www-form-urlencoded" if probe.path.startswith("/h5/") else b"text/csv"


def _multipart(*parts: tuple[bytes, bytes], ending: bytes = b"") -> bytes:
    """Of names and contents; `ending` of the names: that of a file."""
    head = b"--%b\r\nContent-Disposition: form-data; name=" % EDGE
    pieces = [b'%b"%b"%b\r\n\r\n%b\r\n' % (head, name, ending, content) for name, content in parts]
    return b"".join(pieces) + b"--%b--\r\n" % EDGE


def _bodies(probe: Probe, good: Nasty, caller: Caller) -> Iterator[Nasty]:
    if good.raw.body is None:
        return
    for number, body in enumerate(words.BODIES):
        yield _with(good, f"body {number}", body=body)
    yield _with(good, "chunked oversize body", body=None, chunks=[b" " * 65_536] * 40)
    yield _with(good, "chunked good body", body=None, chunks=[good.raw.body[:1], good.raw.body[1:]])
    if isinstance(probe.body, Upload):
        yield from _uploads(good, _part_name(probe), probe.body.content)
    elif isinstance(probe.body, str):
        yield from _texts(probe, good)
    else:
        yield from _values(probe, good, caller)


def _values(probe: Probe, good: Nasty, caller: Caller) -> Iterator[Nasty]:
    for place, marked in _marked(probe.body):
        text = filled(replace(probe, body=marked), dict(caller.world), "")[2]
        for value in words.VALUES:
            yield _with(good, f"{place} = {value[:40]}", body=text.replace(f'"{MARK}"', value).encode())


def _texts(probe: Probe, good: Nasty) -> Iterator[Nasty]:
    """Forms and files: each of their values in turn."""
    body = good.raw.body or b""
    is_form = _type_of(probe).endswith(b"urlencoded")
    separator, texts = (b"&", words.FORM_WORDS) if is_form else (b",", words.CELLS)
    pieces = body.split(separator)
    for at, piece in enumerate(pieces):
        name, equals, _ = piece.rpartition(b"=")
        for word in texts:
            changed = separator.join([*pieces[:at], name + equals + word, *pieces[at + 1 :]])
            yield _with(good, f"value {at} = {word[:40]!r}", body=changed)
        if equals:
            yield from _forms(good, pieces, at)
    yield _with(good, "many lines", body=body + b"\n".join([body.rpartition(b"\n")[2]] * 4_000))
    yield _with(good, "utf-16", body=body.decode("latin-1").encode("utf-16"))


def _forms(good: Nasty, pieces: Sequence[bytes], at: int) -> Iterator[Nasty]:
    """The same as parts, one of them in a charset that makes of it what no text may be."""
    named = [piece.partition(b"=")[::2] for piece in pieces]
    for charset in words.CHARSETS:
        parts = [(name, words.HALF if at == number else value) for number, (name, value) in enumerate(named)]
        yield _typed(good, f"value {at} in {charset!r}", FORM_TYPE + b"; charset=" + charset, _multipart(*parts))


def _uploads(good: Nasty, name: bytes, picture: bytes) -> Iterator[Nasty]:
    bomb = picture[:16] + (60_000).to_bytes(4, "big") * 2 + picture[24:]
    for content in (*words.NO_PICTURES, picture[:40], picture[:-20], bomb):
        yield _with(good, f"picture {content[:12]!r}", body=_multipart((name, content), ending=FILE))
    yield _with(good, "picture as text", body=_multipart((name, picture)))
    yield _with(good, "picture of another name", body=_multipart((b"\xff\x00", picture), ending=FILE))
    yield _with(good, "no end", body=(good.raw.body or b"")[:-30])
    for charset in words.CHARSETS:
        yield _typed(good, f"charset {charset!r}", FORM_TYPE + b"; charset=" + charset, _multipart((name, b"x")))


def _marked(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The value with a mark in each place in turn."""
    if place:
        yield place, MARK
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        for below, marked in _marked(child, f"{place}/{name}"):
            changed = dict(value) if isinstance(value, dict) else list(value)
            changed[name] = marked
            yield below, changed


def _addresses(good: Nasty, parameters: Sequence[str]) -> Iterator[Nasty]:
    plain = good.raw.target.partition(b"?")[0].decode()
    steps = plain.split("/")
    for at, (step, described) in enumerate(zip(steps, good.path.split("/"), strict=True)):
        if described.startswith("{"):
            for word in words.WORDS:
                target = "/".join([*steps[:at], step.replace(step.removesuffix(".jpg"), word), *steps[at + 1 :]])
                yield _with(good, f"{described} = {word[:40]}", target=target.encode())
    for name in (*parameters, "x"):
        for word in words.WORDS:
            yield _with(good, f"?{name} = {word[:40]}", target=f"{plain}?{quote(name)}={word}".encode())
    for query in words.ENDS:
        yield _with(good, f"address + {query[:20]!r}", target=plain.encode() + query)
    yield _with(good, "absolute address", target=b"http://evil.example" + plain.encode())
    yield _with(good, "not utf-8 in the address", target=plain.encode() + b"?x=\xff\xfe")


def _heads(good: Nasty, caller: Caller) -> Iterator[Nasty]:
    for method in words.METHODS:
        if method != good.raw.method:
            yield _with(good, f"{method[:10]!r} instead", method=method)
    for headers in words.HEADERS:
        given = tuple(pair for pair in good.raw.headers if pair[0] not in {name for name, _ in headers})
        yield _with(good, f"{headers[0][0].decode()}: {headers[0][1][:20]!r}", headers=given + headers)
    if good.raw.body is not None:
        for kind in words.TYPES:
            yield _typed(good, f"Content-Type: {kind[:30]!r}", kind, good.raw.body)
    rest = tuple(pair for pair in good.raw.headers if pair not in caller.identity)
    yield replace(_with(good, "no key", headers=rest), keyless=True)
    for value in words.AUTHORIZATIONS:
        wrong = _with(good, f"Authorization: {value[:24]!r}", headers=(*rest, (b"Authorization", value)))
        yield replace(wrong, keyless=True)
    yield _with(good, "two keys", headers=(*good.raw.headers, (b"Authorization", b"Bearer x")))


def _typed(good: Nasty, name: str, kind: bytes, body: bytes) -> Nasty:
    headers = tuple(pair for pair in good.raw.headers if pair[0] != b"Content-Type")
    return _with(good, name, headers=(*headers, (b"Content-Type", kind)), body=body)


def _with(good: Nasty, name: str, **changes: Any) -> Nasty:
    return replace(good, name=f"{good.name} · {name}", raw=replace(good.raw, **changes))
