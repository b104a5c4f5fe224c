"""Captions that try to be something else than text."""

from __future__ import annotations

HOSTILE = {
    "markup": "<script>window.pwned=1</script><img src=x onerror=\"window.pwned=2\"> a cat",
    "quotes": "\"quotes\" 'and' &amp; <b>bold</b> {{ 7 * 7 }} {% raw %} </title></svg></style>",
    "right-to-left": "\u202eevil backwards \u2067never closed שלום עולם",
    "long word": "x" * 10_000,
    "long sentence": "a very long walk " * 590,
    "emoji": "👩‍🚀 rides 🐈 under 🌈 \U0001f600",
    "formulas": r"$\frac{1}{0 \alpha_1^2 50% & #7 ~tilde\\ | pipe | `code` [link](http://evil.example)",
    "controls": "tab\tand null-like \x0b bell \x07 end",
}
