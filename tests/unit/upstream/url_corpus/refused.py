"""Spellings that the resolver refuses, by what its message says."""

# ruff: noqa: RUF001 - letters that look like others are the point
from __future__ import annotations

from typing import Final

# what the message says → typed
REFUSED: Final[dict[str, tuple[str, ...]]] = {
    "got nothing": ("", " ", "   \t\r\n"),
    "got no host": (
        *("https://", "http://", "/", "/v1", "//h", "//h/v1", "///h", "http:///h", "http:////h"),
        *(":8000", "http://:8000", "http://?x", "https:///169.254.169.254/", "?", "?h"),
    ),
    "shorten it": (
        *("https://h/" + "a" * 2048, "h" * 2049, "https://h/?" + "a" * 2048),
        # short as typed, too long once it is written out
        *("https://h/" + "é" * 400, "https://h/?x=" + "é" * 400, "https://h/" + "a" * 2030),
    ),
    "user name or password": (
        *("https://user:pa55@h/v1", "user@h", "https://@h", "https://:@h", "http://a:b@c@h"),
        *("https://h@evil.example:80/v1", "http://good@169.254.169.254/", "http://@127.0.0.1"),
        *("http://good.example:80@169.254.169.254/", "http://%40@h", "user:pass@h:8000"),
        *("http://[::1]@h", "http://h:80@[::1]", "http://a:b:c@h"),
    ),
    "a key in its query": (
        *("https://h/v1?key=AIza", "h:8000?api-key=x", "https://h/?API_KEY=x", "https://h/?apiKey"),
        *("https://h/v1?api-version=1&subscription-key=x", "https://h?access%5Ftoken=x"),
        *("https://h/v1/models?X-Api-Key=x", "https://h/v1?token=", "https://h/v1?sig=a&sv=1"),
    ),
    "fragment": (
        *("https://h/v1#models", "https://h#", "h#", "http://good.example#@169.254.169.254/"),
        *("http://169.254.169.254#.good.example", "#", "https://h/v1?x=#y"),
    ),
    "the scheme": (
        *("ftp://h/v1", "file:///etc/passwd", "gopher://h:70/_x", "dict://h:11211/stats"),
        *("ws://h", "wss://h", "unix:///run/x.sock", "ldap://h", "data://h", "jar://h!/"),
        *(
            "httpx://h",
            "http+unix://h",
            "https-x://h",
            "HTTPS1://h",
            "a.b-c+d://h",
            "view-source://h",
        ),
    ),
    "scheme without //": ("http:h/v1", "https:/h/v1", "https:h", "http:/h", "HTTP:h", "http:[::1]"),
    "the port": (
        *("http://h:0", "http://h:65536", "http://h:99999", "http://h:", "http://h:/v1", "h:"),
        *("http://h:+80", "http://h:-80", "http://h:80x", "http://h:0x50", "http://h:8_0"),
        *("http://h:８０", "http://h:٨٠", "http://h:⑧⓪", "http://h:000080", "http://h:1e3"),
        *("http://h:80.0", "http://h:%38%30", "http://[::1]:", "http://[::1]:0", "http://h:ssh"),
        *("javascript:alert(1)", "data:text/html,x", "mailto:a", "tel:x", "http://127.0.0.1:80;x"),
        *("ｈｔｔｐ://h", "http://http://h"),
    ),
    "space or control": (
        *("https://h/a b", "http://h h", "https://h/\x00", "http://127.0.0.1\x00.good.example"),
        *("https://h\r\nX-Evil: 1", "https://h/\tv1", "http://h\n.example", "h\x0bh", "h\x7f"),
        *("https://h\u200b/v1", "https://h\u202e/v1", "https://h\u00a0/v1", "https://h/\u3000"),
        *("https://h\u2028", "https://h\ufeff", "https://h/\u2066", "http://local\u00adhost"),
        *("http://h\ud800", "https://h/\udfff", "https://h/\U000e0041", "https://h/\ue000"),
        *("http://127.0.0.1 .good.example", "http://169.254.169.254\t/", "\ufeffhttps://h"),
    ),
    "backslash": (
        *("https://h\\@evil/v1", "http:\\\\h", "https://h/a\\b", "\\\\h\\v1"),
        *("http://good.example\\@169.254.169.254/", "http://169.254.169.254\\.good.example"),
    ),
    "brackets": (
        *("::1", "::", "fe80::1/v1", "2001:db8::1:8000", "h:80:90", "https://h:443:443"),
        *("http://::1", "http://::ffff:127.0.0.1/", "http://[::1", "http://[::1]8000"),
        *("http://[::1].good.example", "http://[::1]x:80", "[", "http://[::1]]", "::ffff:7f00:1"),
    ),
    "no IPv6 address": (
        *("http://[]", "http://[127.0.0.1]", "http://[h]", "http://[::g]", "http://[1::2::3]"),
        *("http://[::1%]", "http://[:::1]", "http://[::ffff:127.0.0.1.]", "http://[v1.x]"),
        *("http://[::ffff:0x7f.0.0.1]", "http://[::ffff:0177.0.0.1]", "http://[::1::]"),
        *("http://[::１]", "http://[::ffff:2130706433]", "http://[::1.]"),
    ),
    "zone": (
        *("http://[fe80::1%25eth0]", "http://[fe80::1%eth0]", "http://[::1%lo]", "http://[::1%25]"),
        *("http://[fe80::a9fe:a9fe%2]:80", "http://[::ffff:127.0.0.1%25lo]"),
    ),
    "number as host": (
        # one number, in every base
        *("http://2130706433", "http://2852039166", "http://0", "http://4294967295", "http://1"),
        *("http://017700000001", "http://0x7f000001", "http://0X7F000001", "http://0xa9fea9fe"),
        *("http://0x", "2130706433:8000", "http://99999999999999999999", "http://02130706433"),
        # fewer parts
        *("http://127.1", "http://127.0.1", "http://10.1", "http://169.254.43518", "http://0.0"),
        *("http://127.65535", "127.1:8000", "http://127.0x1", "http://127.01"),
        # octal, hex, mixed
        *(
            "http://0177.0.0.1",
            "http://0177.0.0.01",
            "http://0x7f.0.0.1",
            "http://0x7f.0x0.0x0.0x1",
        ),
        *("http://0xa9.0xfe.0xa9.0xfe", "http://0251.0376.0251.0376", "http://0251.254.0xa9.254"),
        *("http://127.0.0.0x1", "http://127.0.0.01", "http://00.0.0.0", "http://127.000.000.001"),
        *("http://010.0.0.1", "http://10.0.0.010", "http://0177.1", "http://0x7f.1"),
        # out of range, too many, dots
        *("http://127.0.0.256", "http://256.256.256.256", "http://1.2.3.4.5", "http://1.2.3.999"),
        *("http://127.0.0.1.", "http://169.254.169.254.", "http://127.1.", "http://1..1"),
        *("http://127..0.1", "http://.127.0.0.1", "http://0.", "http://2130706433."),
        # a name that ends in a number: some resolvers read it as one
        *("http://evil.example.0x7f", "http://good.example.1", "http://h.0177", "http://x.0x"),
        # digits of other scripts and of none
        *("http://０x7f.1", "http://２１３０７０６４３３", "http://①②⑦.①", "http://０１７７.0.0.1"),
        *("http://⓪x7f.⓪.⓪.①", "http://೧೨೭.0.0.1", "http://127%2e0.0.1", "http://%3127.0.0.1"),
    ),
    "characters or lengths": (
        *("http://a..b", "http://.h", "http://h..", "http://.", "http://..", "http://-a.example"),
        *("http://a-.example", "http://h%2eexample", "http://a,b", "http://h;x", "http://h&x"),
        *("http://h=x", "http://*.example", "http://h~", "http://h!", "http://(h)", "http://'h'"),
        *('http://"h"', "http://<h>", "http://{h}", "http://h|x", "http://h^x", "http://`h`"),
        *("http://h+x", "http://h$x", "http://localhost%00.example", "http://%6c%6fcalhost"),
        *("http://%31%32%37.0.0.1.example", "http://h%", "http://xn--", "http://127.0.0.1%lo"),
        *("http://" + "a" * 64 + ".example", "http://" + "a." * 130 + "example"),
        *("http://127.0.0.1,good.example", "http://169.254.169.254%2fgood.example"),
        *("http://127.0.0.1]", "http://h]:80"),
    ),
    "characters that no host name has": (
        *(
            "http://\u2488.example",
            "http://①⑥⑨.⒉54.169.254",
            "http://℀.example",
            "http://h％2e.example",
        ),
        *("http://good.example＠169.254.169.254/", "http://169.254.169.254／.example"),
        *("http://169.254.169.254？.example", "http://169.254.169.254＃.example", "http://h：80"),
        *("http://é：1", "http://٠.٠.٠.٠"),
        *("http://\u0338a.example", "http://é" + "a" * 63 + ".example", "http://xn--é.example"),
        *("http://-é.example", "http://é..example"),
    ),
}
