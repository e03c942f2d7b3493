"""What is put in place of good values: by where it stands, since each place has its own way to be wrong."""

from __future__ import annotations

# As they stand in a JSON text, in place of one value.
VALUES = (
    *("null", "true", "{}", "[]", '""', '" "', "0", "-1", "-0", "1.5", "1e2", "1e308", "1e999", "NaN", "-Infinity"),
    *("1000000000000001", "2147483648", "9223372036854775807", "9223372036854775808", "18446744073709551616"),
    *("1" + "0" * 400, "1" + "0" * 5_000, "-1" + "0" * 5_000, "0." + "0" * 5_000 + "1"),
    *('"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud83d"', '"\\uffff\\u202e\\u200b"', '"\\u0001\\u001f\\u007f"'),
    *('"👨‍👩‍👧‍👦🏳️‍🌈"', '"ß\\u0307\\u0323"', '"' + "e\\u0301" * 3_000 + '"', '"' + "长" * 70_000 + '"'),
    *('"\' OR 1=1 --"', '"%00%s{0}${jndi:x}"', '"../../etc/passwd"', '"<script>alert(1)</script>"', '"=cmd|calc"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-02-30T00:00:00Z"', '"2026-01-01"'),
    *('"2026-01-01T24:00:00Z"', '"2026-12-31T23:59:60Z"', '"2026-01-01T00:00:00+99:99"', '"1e400"'),
    *("[[[[1]]]]", '{"a":{"a":{"a":1}}}', "[" * 31 + "]" * 31, "[" * 5_000 + "]" * 5_000, '{"__proto__":1}'),
    *('"mch_01h2xcejqtf2nbrexx3vqjhp41"', '"cmp_7zzzzzzzzzzzzzzzzzzzzzzzzz"', '"cmp_01H2XCEJQTF2NBREXX3VQJHP41"'),
    *('"http://[::1]:0/"', '"https://x\\r\\ny/"', '"javascript:alert(1)"', '"https://' + "a" * 3_000 + '.example/"'),
    *('"+861391234567８"', '"+0000000000"', '"a@b@c"', '"@example.com"', '"x@' + "é" * 300 + '.com"'),
)
# As they stand in an address, in place of a value.
WORDS = (
    *("%00", "%ff%fe", "%", "%zz", "%u4f60", "%2e%2e%2f", "..%5c", "%0d%0aX:1", "%ed%a0%80", "%f0%9f%8d%b5", "+"),
    *("0", "-1", "101", "1e3", "9" * 40, "NaN", "true", "null", "x" * 65, "x" * 3_000, "a'b", "a%22b", "%3Cb%3E", "*"),
    *("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "1795000000"),
    *("mch_01h2xcejqtf2nbrexx3vqjhp41", "cmp_7zzzzzzzzzzzzzzzzzzzzzzzzz", "cmp_01H2XCEJQTF2NBREXX3VQJHP41"),
    *("_", "cmp_"),
)
# After a good address.
ENDS = (b"?", b"?&&=&", b"?limit=1&limit=2", b"?limit", b"?%00", b"?" + b"a=1&" * 3_000, b"#x", b"/", b"//", b";a=1")
# As they stand in a form, already encoded.
FORM_WORDS = (
    *(b"", b"+", b"%00", b"a%00b", b"%ff%fe", b"%ed%a0%80", b"%", b"%zz", b"%u4f60", b"\x00", b"\xff", b"\xe4\xb8"),
    *(b"x" * 201, b"x" * 100_000, b"%F0%9F%8D%B5" * 200, b"%0d%0aSet-Cookie:a=b", b"%3Cscript%3E", b"%27--"),
    *(b"%2B8613912345678", b"%EF%BC%91%EF%BC%93%EF%BC%99" * 4, b"000000", b"%D9%A0" * 6, b"AAAA", b"gAAAA%3D%3D"),
    *(b"9" * 40, b"yes", b"on", b"null"),
)
# As they stand in a cell of a file.
CELLS = (
    *(b"", b" ", b"\x00", b"a\x00b", b"\xff\xfe", b"\xed\xa0\x80", b'"', b'""', b'"a\nb"', b"\r", b"a\x85b", b"=1+1"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"1795000000", b"yesterday", b"2026-01-01T00:00:00"),
    *(b"pay_7zzzzzzzzzzzzzzzzzzzzzzzzz", b"pay_x", b"mbr_01h2xcejqtf2nbrexx3vqjhp41", b"PAID", b"failed", b"paid,paid"),
    b"x" * 100_000,
)
CHARSETS = (
    *(b"unicode_escape", b"raw_unicode_escape", b"utf-16", b"utf-7", b"idna", b"rot13", b"bogus", b"hex", b"undefined"),
)
# In most of these charsets it is half of a surrogate pair, a NUL byte, or no text at all.
HALF = b"\\ud800 \\x00 \xff\xfe"
BODIES = (
    *(bytes([byte]) for byte in b'{["0-nt\x00\xff \n'),
    *(b"", b"null", b"{}", b"[]", b"[1]", b'"x"', b"NaN", b"{}{}", b'{"a":1,"a":2}', b"\xef\xbb\xbf{}", b"//x\n{}"),
    *(b'{"\\ud800":1}', b'{"a\\u0000":1}', b"[" * 200_000, b'{"a":' * 50_000, "{}".encode("utf-16"), b"\x1f\x8b\x08"),
    *(b'{"' + b"k" * 100_000 + b'":1}', b"{" + b",".join(b'"k%d":1' % n for n in range(5_000)) + b"}"),
)
NO_PICTURES = (b"", b"\x00", b"GIF89a" + b"\x00" * 40, b"<svg/>", b"BM" + b"\xff" * 99, b"%PDF-1.4", b"\xff\xd8\xff")
TYPES = (
    *(b"", b"text/plain", b"application/xml", b"application/json; charset=utf-16", b"application/json;;;=", b"*/*"),
    *(b"application/x-www-form-urlencoded", b"multipart/form-data", b"multipart/form-data; boundary=", b"image/png"),
    *(b"application/JSON", b"application/vnd.x+json", b"text/csv", b"text/csv; charset=latin-1", b"\xff/\xfe"),
    b"x" * 8_000,
)
HEADERS: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
    *(((b"Idempotency-Key", value),) for value in (b"", b" ", b"x" * 256, b"x" * 8_000, b"\xe4\xb8", b"a\tb", b"'--")),
    ((b"Idempotency-Key", b"one"), (b"Idempotency-Key", b"two")),
    *(((b"Request-Id", value),) for value in (b"", b"x" * 65, b"\xff" * 9, b"a" * 20)),
    *(((b"Accept", value),) for value in (b"text/html", b"\xff", b"application/xml;q=0")),
    ((b"Accept-Encoding", b"gzip;q=9,*;q=\xff"),),
    ((b"Content-Encoding", b"gzip"),),
    ((b"Content-Type", b"application/json"), (b"Content-Type", b"text/plain")),
    *(((b"X-Forwarded-For", value),) for value in (b"", b"::ffff:1.2.3.4, ,\xff", b"1" * 4_000)),
    ((b"X-Forwarded-Proto", b"https\xff"), (b"X-Forwarded-Host", b"evil.example")),
    *(((b"Cookie", value),) for value in (b"=;=;;", b"v=" + b"x" * 6_000, b"\xff\xfe=\x80", b"visitor=a.b.c.d")),
    *(((b"User-Agent", value),) for value in (b"", b"\xff\x80", b"x" * 8_000)),
    ((b"If-None-Match", b'"' * 99),),
    ((b"Range", b"bytes=9-1,-0,a-b"),),
    ((b"Expect", b"100-continue"),),
    ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Key", b"x")),
    ((b"Transfer-Encoding", b"identity"),),
    ((b"Purpose", b"prefetch"),),
)
METHODS = (b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"PATCH", b"DELETE", b"POST", b"GET", b"PROPFIND", b"get", b"X" * 40)
AUTHORIZATIONS = (
    *(b"", b"Bearer", b"Bearer ", b"bearer x", b"Basic dTpw", b"Bearer \xff", b"Bearer ivt_test_" + b"a" * 43),
    *(b"Bearer " + b"x" * 8_000, b"Bearer ivt_live_\xe4\xb8\xad"),
)
