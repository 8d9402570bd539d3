#!/usr/bin/env python3
"""Writes seeds/: inputs by hand, from which the fuzzer starts. What it found stays beside them as found-*."""

import base64
import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "seeds"


def counted(data: bytes) -> bytes:
    """Bytes with their length in front, as `Script::bytes` reads them."""
    return bytes([len(data)]) + data


def frame(first: int, payload: bytes = b"", how: int = 0) -> bytes:
    return bytes([0x00, first, how]) + counted(payload)


def deflated(*messages: bytes) -> list[bytes]:
    state = zlib.compressobj(wbits=-15)
    return [(state.compress(it) + state.flush(zlib.Z_SYNC_FLUSH))[:-4] for it in messages]


def frames() -> dict[str, bytes]:
    hello = frame(0x81, "grüße".encode())
    fragments = frame(0x01, b"one ") + frame(0x89, b"ping") + frame(0x00, b"two ") + frame(0x80, b"three")
    close = frame(0x88, struct.pack(">H", 1000) + b"bye")
    long = frame(0x82, bytes(range(256))[:250], 0xFF)
    commands = b"\x0f" + counted(b"hello") + b"\x10" + counted(b"\1\2\3") + b"\x11" + counted(b"prepared " * 4)
    pieces = b"\x12" + counted(b"a piece ") + b"\x13" + counted(b"and the last")
    ping = b"\x14\x18" + frame(0x8A, bytes(7) + b"\1") + b"\x15" + counted(b"mine") + b"\x16" + counted(b"unasked")
    closing = b"\x17" + struct.pack(">H", 1000) + counted(b"enough") + b"\x1f"
    time = b"\x1c\xff\xff\x1f\x18\x1c\x9c\x40"
    compressed = b"".join(op + bytes([1]) + counted(b"again and again " * 8) for op in (b"\x0d", b"\x0e", b"\x0d\x1a"[:1]))
    return {
        "server": b"\x00\x00\x07" + hello + fragments + commands + pieces + ping + close,
        "client": b"\x01\x00\x07" + hello + fragments + commands + pieces + ping + closing + close,
        "deflate": b"\x02\x00\x05" + compressed + commands + b"\x1a" + compressed + closing,
        "takeover": b"\x0e\x00\x05" + compressed + commands + b"\x1a" + compressed + commands + close,
        "takeover-client": b"\x07\x00\x05" + compressed + commands + pieces + b"\x1a" + compressed + closing,
        "pieces": b"\x02\x00\x03\x19" + fragments + hello + compressed + frame(0x01, b"\xc3") + frame(0x80, b"\xa4"),
        "long": b"\x00\x00\x09" + long + frame(0x02, b"x" * 250, 0xFF) + frame(0x80, b"y" * 100, 0xFF) + close,
        "limits": b"\x00\x0d\x01" + hello + frame(0x02, b"1") + frame(0, b"2") * 6 + frame(0x80, b"3"),
        "broken-text": b"\x00\x00\x02" + frame(0x01, b"\xce\xba\xe1") + frame(0x80, b"\xbd\xb9\xed\xa0\x80"),
        "bomb": b"\x02\x01\x02" + b"\x0d\x00" + counted(b"\0" * 250),
        "unmasked": b"\x10\x00\x02" + frame(0x81, b"plain", 0x0E) + hello,
        "raw": b"\x00\x00\x03\x0c" + counted(b"\x82\xfe\x01\x00" + b"\0" * 100) + b"\x1d",
        "time": b"\x20\x00\x03" + hello + frame(0x01, b"unfinished") + time + b"\x1b" + time * 3,
        "dropped": b"\x02\x00\x03" + frame(0x41, b"\xca") + b"\x1e",
    }


def handshake_server() -> dict[str, bytes]:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    lines = b"Host: example.test:8080\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    plain = b"GET /chat?a=1 HTTP/1.1\r\n" + lines + key + b"Sec-WebSocket-Version: 13\r\n"
    deflate = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12; server_no_context_takeover, permessage-deflate\r\n"
    return {
        "plain": b"\x00\x05" + plain + b"\r\n\x81\x80",
        "all": b"\x1e\x03" + plain + deflate + b"Origin: https://other.test\r\nSec-WebSocket-Protocol: a, chat\r\n\r\n",
        "chosen": b"\x22\x03" + plain + deflate + b"Sec-WebSocket-Protocol: a, b\r\n\r\n",
        "origin": b"\x00\x03" + plain + b"Origin: http://example.test:8080\r\n\r\n",
        "small": b"\x01\x01" + plain + b"X: " + b"y" * 300 + b"\r\n\r\n",
        "http10": b"\x00\x01GET / HTTP/1.0\r\n\r\n",
        "smuggled": b"\x00\x01" + plain + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "folded": b"\x00\x01GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
    }


def handshake_client() -> dict[str, bytes]:
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $ACCEPT\r\n"
    return {
        "plain": b"\x00\x05" + head + b"\r\n\x81\x00",
        "all": b"\x0f\x03" + head + b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n",
        "early": b"\x00\x03HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + head + b"\r\n",
        "refused": b"\x00\x03HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever",
        "chunked": b"\x00\x03HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nlater\r\n0\r\n\r\n",
        "endless": b"\x00\x03HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100,
        "address": b"\x00\x00wss://[::1]:8443/a%20b?c=d#e\n",
    }


def deflate() -> dict[str, bytes]:
    def inflate(flags: int, messages: list[bytes], room: int = 0xFF) -> bytes:
        each = b"".join(b"\x01" + struct.pack(">H", len(it)) + it for it in messages)
        return bytes([flags | 1, 5, 7, room]) + each

    def payload(times: int, data: bytes, step: int = 0) -> bytes:
        return bytes([step, times]) + counted(data)

    lines = b"the quick brown fox jumps over the lazy dog; "
    messages = deflated(lines * 3, b"", lines, bytes(range(256)) * 3)
    final = zlib.compressobj(wbits=-15)
    ended = final.compress(lines) + final.flush()
    later = zlib.compressobj(wbits=-15, zdict=lines)
    again = later.compress(lines) + later.flush()
    seeds = {
        f"compress-{level}-{bits}": bytes([(bits - 8) << 3 | 6, level])
        + payload(0, lines) + payload(2, lines, 5) + payload(0xC9, lines) + b"\xff" + payload(0xFF, lines[:9])
        + payload(0, b"") + payload(1, lines, 0xFE) + payload(3, bytes(range(250)), 8)
        for level, bits in [(0, 15), (1, 8), (3, 9), (5, 15), (6, 11), (9, 15)]
    }
    return seeds | {
        "inflate": inflate(0, messages),
        "inflate-takeover": inflate(2, messages),
        "inflate-live": inflate(6, messages + [ended, ended + messages[1], ended * 3]),
        "inflate-final": inflate(2, [ended, ended * 2, messages[0]]),
        "inflate-history": inflate(2, [ended + again, b"", again, ended, again]),
        "inflate-stored": inflate(2, [b"\0\5\0\xfa\xffhello\0", b"\0\4\0\xfb\xff", b"\0"]),
        "inflate-room": inflate(2, messages, 20),
        "inflate-nonsense": inflate(0, [b"\xff\xff\xff", b"\x03\0", b"\x02"]),
    }


def engine_payload() -> dict[str, bytes]:
    b64 = base64.b64encode(b"\1\2\3\4")
    return {
        "v4": b"\x004hello\x1eb" + b64 + b"\x1e2probe\x1e3\x1e6\x1e1",
        "v4-broken": b"\x004a\x1e\x1e9",
        "v3": "\x0111:42[\"grüße\"]10:b4".encode() + b64 + b"1:6",
        "v3-surrogates": "\x013:4😀".encode(),
        "v3-binary": b"\x02\x00\x05\xff4abcd\x01\x04\xff\x04\1\2\3",
        "v3-empty": b"\x010:",
        "form": b"\x03d=4a%5C%5Cn%5Cn%1e4b+c",
        "frame": b"\x04\x04binary",
        "frame-text": b"\x042probe",
        "query": b"\x05EIO=4&transport=polling&t=abc&sid=aaaaaaaaaaaaaaaaaaaa&b64=1&j=3",
    }


def engine_session() -> dict[str, bytes]:
    poll, post, done, post_abort = b"\x02", b"\x04", b"\x05", b"\x15"
    send, answer, frames, upgrade = b"\x08\x05", b"\x0a", b"\x0b", b"\x06"
    said = lambda choice: bytes([0, choice])  # noqa: E731
    moving = upgrade + said(0x86) + frames + b"\x0c\x20" + answer + said(0x8A) + frames
    pings = (b"\x0c\x50" + poll + answer + post + said(8) + done) * 3
    start = poll + answer
    return {
        "polling": b"\0\0" + start + send * 3 + poll + answer + post + said(0) + said(5) + done + pings + b"\x1e" + poll + answer,
        "websocket": b"\4\0" + frames + send * 2 + frames + said(0x80) + b"\x0c\x50" + frames + said(0x88) + b"\x1e" + frames,
        "upgrade": b"\2\0" + start + send + poll + moving + send + frames + said(0x85) + b"\x1e" + frames,
        "upgrade-posting": b"\0\0" + start + post + poll + moving + said(0) + done + b"\x17",
        "upgrade-late": b"\0\0" + start + upgrade + said(0x86) + b"\x0c\xff" + poll + answer + b"\x0c\xff",
        "v3": b"\x08\0" + start + post + said(7) + done + poll + answer + b"\x0c\xff" * 3,
        "small": b"\0\7" + start + (b"\x08\x20") * 6 + (poll + answer) * 6,
        "overlap": b"\0\0" + start + poll + poll + answer,
        "aborted": b"\0\0" + start + send + poll + b"\x0e" + answer,
        "given-up": b"\0\0" + start + post + post_abort,
        "lawless": b"\x20\0" + bytes(range(16)) * 4,
    }


def socket_text() -> dict[str, bytes]:
    hold = b'{"_placeholder":true,"num":'
    return {
        "connect": b'0/admin,{"token":"a"}\xff0\xff1\xff1/admin,',
        "event": '2["grüße",1,-2.5e3,{"a":[null,true,"\\u00e9\\n"]}]'.encode(),
        "event-ack": b'2/a?b=c,12["e"]\xff3/a?b=c,12[]\xff3' + b"0[1]",
        "number": b'2[7,"a"]\xff2[-1.5]\xff2[1e400]',
        "error": b'4{"message":"no","data":[1]}\xff4/x,"no"',
        "binary": b'52-["e",' + hold + b'0},{"a":' + hold + b'1}}]\xff\1\2\xff\3',
        "binary-ack": b"61-/a,3[" + hold + b"0}]\xff",
        "forged": b'51-["e",' + hold + b'5}]\xff2["e",' + hold + b"0}]",
        "interrupted": b'51-["e",' + hold + b'0}]\xff\xff2["e"]',
        "deep": b'2["e",' + b"[" * 126 + b"]" * 126 + b"]",
        "surrogates": rb'2["e","\ud83d\ude00\ud800"]',
        "space": b'2[ "e" , { "a" : 1 } ] ',
        "no-pair": rb'2["e","\ud800\u0041\u0042\u0043"]',
        "escapes": rb'2["e","\u0041\u0042\u0043\n\"\\\/"]',
        "boundaries": b'2["e",-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,127,128,255,256,65535,65536,4294967296]',
        "reserved": b'2["connect"]',
    }


def socket_msgpack() -> dict[str, bytes]:
    def text(value: str) -> bytes:
        data = value.encode()
        return bytes([0xA0 | len(data)]) + data

    def packet(kind: int, data: bytes | None = None, ack: bytes | None = None, nsp: str = "/") -> bytes:
        members = [text("type") + bytes([kind])]
        members += [text("data") + data] if data is not None else []
        members += [text("nsp") + text(nsp)]
        members += [text("id") + ack] if ack is not None else []
        return bytes([0x80 | len(members)]) + b"".join(members)

    numbers = b"\xcc\xff\xcd\xff\xff\xce\xff\xff\xff\xff\xcf" + b"\xff" * 8 + b"\xd0\x80\xd1\x80\0\xd2\x80\0\0\0\xd3\x80" + bytes(7)
    return {
        "connect": packet(0, b"\x81" + text("token") + text("a")),
        "connect-empty": packet(0, b"\xc0"),
        "disconnect": packet(1, nsp="/admin"),
        "event": packet(2, b"\x93" + text("e") + b"\xc4\3\1\2\3" + b"\x82" + text("a") + b"\xc3\5\x90"),
        "numbers": packet(2, b"\x99" + text("e") + numbers),
        "floats": packet(2, b"\x94" + text("e") + b"\xcb\x7f\xf8" + bytes(6) + b"\xca\x3f\x80\0\0\xcb\xff\xf0" + bytes(6)),
        "dates": packet(2, b"\x95" + text("e") + b"\xd7\0" + bytes(8) + b"\xd6\xff\0\0\0\1\xd4\0\0\xc7\3\0\1\2\3"),
        "timestamp": packet(2, b"\x92" + text("e") + b"\xc7\x0c\xff" + bytes(12)),
        "ack": packet(3, b"\xdc\0\2\xc2\xd9\1a", b"\xcd\1\0"),
        "error": packet(4, text("no")),
        "forged": packet(2, b"\x93" + text("e") + b"\xc4\0\x81" + text("_placeholder") + b"\xc3"),
        "number": packet(2, b"\x92\x07\x01"),
        "deep": packet(2, b"\x92" + text("e") + b"\x91" * 126 + b"\x90"),
        "lying": packet(2, b"\xdd\xff\xff\xff\xff" + text("e")),
    }


def session() -> dict[str, bytes]:
    event = b"\x8d" + b"e\x05" + counted("grüße".encode()) + b"\x09" + counted(b"\0\1\2") + b"\xc7\2\1\0\3\0\7"
    both = b"\0" + event + b"\2" + event
    answers, poll, flush, upgrade, passing = b"\4", b"\5", b"\x38", b"\7", b"\x08\x14"
    return {
        f"{name}-{flags:02x}": bytes([flags]) + poll + both * 2 + flush + poll + answers + middle + both + answers + flush + poll
        for flags in (0, 1, 2, 3, 8, 9, 0x10, 0x20, 0x21)
        for name, middle in {
            "polling": passing * 3,
            "upgrade": poll + upgrade + both + flush + passing * 2 + upgrade + both + flush,
        }.items()
    } | {f"websocket-{flags:02x}": bytes([flags]) + both + flush + b"\x09" + answers * 3 + flush for flags in (4, 5, 6, 0xC, 0xD)}


def conversation() -> dict[str, bytes]:
    text, many = b"\x05" + counted("grüße".encode()), b"\xc5\1\5\2ab\x09" + counted(b"\0\1")
    turn, tick = b"\x18", b"\x19"
    open_, ask = (lambda kind: bytes([0, kind])), (lambda who, where, how=0: bytes([1, who, where, how]))
    say = lambda who, deed, number=0, payload=many, place=0x80: bytes([3, who, place, deed, number]) + payload  # noqa: E731
    publish = lambda number, payload=text, where=0: bytes([13, where, number]) + payload  # noqa: E731
    emit = lambda socket, number, payload=many: bytes([16, socket, number]) + payload  # noqa: E731
    join, leave, answer = (lambda it, room: bytes([15, it, room])), (lambda it, room: bytes([145, it, room])), (lambda it: bytes([8, it, 0]) + text)
    kill, back, away = (lambda who: bytes([9, who])), (lambda kind, how=0: bytes([10, 0, kind, how])), b"\x15\x64"
    three = open_(0) + open_(2) + open_(0) + turn * 3 + ask(0, 0) + ask(1, 0) + ask(2, 0) + turn * 3
    rooms = join(0, 0) + join(1, 1) + join(2, 0) + say(1, 4, 0) + turn + publish(1) + publish(0x0A) + say(0, 6, 1) + say(0, 8, 8) + turn * 3
    seeds = {
        "deeds": three + b"".join(say(who, deed, 1) for deed in range(12) for who in range(3)) + turn * 4,
        "rooms": three + rooms + leave(0, 0) + publish(1) + say(2, 6) + turn * 2,
        "asking": three + publish(0xC0) + emit(0, 3) + emit(1, 3) + turn * 3 + answer(0) + answer(1) + answer(2) + answer(0) + turn,
        "own": three + b"".join(emit(who, number) for who in range(3) for number in range(3)) + publish(0x80) + turn,
        "namespaces": open_(0) + b"".join(ask(0, where) for where in range(8)) + turn * 12 + say(0, 0, place=0x83) + bytes([7, 0, 2]) + turn + ask(0, 2) + turn,
        "refused": open_(0) + open_(0) + b"".join(ask(0, where, 7) + ask(1, where, 6) for where in (1, 2, 5)) + publish(1, text, 1) + turn * 12 + publish(1, text, 1) + ask(0, 1) + turn,
        "begone": open_(0) + ask(0, 0, 8) + turn + ask(0, 0) + turn + say(0, 10) + say(0, 0) + turn + ask(0, 0) + turn + say(0, 10, 255) + turn,
        "version-2": open_(3) + turn + say(0, 0) + ask(0, 1) + ask(0, 7) + turn + emit(0, 3) + turn + answer(0) + away * 2,
        "polling": open_(2) + turn * 2 + ask(0, 0) + say(0, 0) + turn * 3 + say(0, 2, 9) * 3 + emit(0, 0) + tick * 12 + turn * 3 + away * 2,
        "lost": three + rooms + kill(0) + publish(1) + publish(0) + away + back(0) + turn * 2 + publish(0) + kill(0) + publish(8) + back(0x80) + back(2) + turn * 3,
        "lost-late": three + kill(0) + publish(0) + away * 4 + back(0) + turn,
        "lost-early": open_(0) + ask(0, 1, 4) + turn * 2 + publish(1, text, 1) + turn + kill(0) + publish(1, text, 1) + back(0, 6) + turn * 2 + publish(1, text, 1) + turn * 15,
        "superseded": three + publish(0) + turn + publish(0) + bytes([11, 0, 0, 0]) + turn * 2 + publish(0) + turn,
        "dismissed": three + bytes([18, 0]) + publish(0) + bytes([148, 1]) + say(0, 0) + turn * 2 + bytes([12, 0]) + turn,
        "wild": three + bytes([19, 0, 0]) + counted(b'2["do",6,0]') + bytes([19, 1, 2]) + counted(b"9") + publish(0) + turn + say(2, 0) + turn,
        "wild-frame": three + bytes([19, 0, 0xC3]) + counted(b"a") + bytes([19, 2, 3]) + counted(b"") + publish(0) + turn,
        "sinners": three + bytes([20, 0, 0, 20, 1, 2, 20, 2, 3]) + publish(0) + turn * 2,
        "deaf": three + bytes([22, 0, 22, 1]) + away * 2 + publish(0) + turn,
    }
    return {f"{name}-{flags}": bytes([flags]) + steps for name, steps in seeds.items() for flags in (2, 7, 8)}


def main() -> None:
    for target in (frames, handshake_server, handshake_client, deflate, engine_payload, engine_session, socket_text,
                   socket_msgpack, session, conversation):
        folder = FOLDER / target.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("found-"):
                old.unlink()
        for name, data in target().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
