# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets out of what people see: results, diffs, warnings, logs."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote

# What dockerd itself writes for a user and password (moby, daemon/config: MaskCredentials), so that a masked value of ours compares
# equal with the one that GET /info tells.
MASKED_USERINFO = 'xxxxx:xxxxx'
MASKED_SECRET = '***'

_SCHEME = re.compile(r'^[A-Za-z][A-Za-z0-9+.-]*://')
# Without the scheme in front: looking for where it begins takes quadratic time in a long word.
_URL_IN_TEXT = re.compile(r"(?<=://)[^\s'\"<>]+")
_ASCII = ''.join(map(chr, range(0x21, 0x7F)))
# `user:password@host` without a scheme, as HTTP_PROXY accepts it.
_BARE_USERINFO = re.compile(r'^[^/?#@\s]*:[^@\s]*@')


def mask_url(url: str) -> str:
    """The URL with user and password as dockerd shows them (`xxxxx:xxxxx`); a URL without them comes back as it is.

    Where it masks, the scheme comes out in lower case and what is not ASCII percent-encoded, as from Go's URL.String. Errs on the side of
    masking: a password with an unescaped `/`, `?`, `#` or `@`, which Go's parser refuses, is hidden as well.
    """
    scheme = _SCHEME.match(url)
    if not scheme:
        return _BARE_USERINFO.sub(MASKED_USERINFO + '@', url)
    head, rest = url[: scheme.end()], url[scheme.end() :]
    end = _userinfo_end(rest)
    return url if end is None else head.lower() + MASKED_USERINFO + quote(rest[end:], safe=_ASCII)


def mask_text(text: str, secrets: t.Iterable[str] = ()) -> str:
    """A text with every URL in it masked, and every string of *secrets* replaced by `***`."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if secret:
            text = text.replace(secret, MASKED_SECRET)
    return _URL_IN_TEXT.sub(lambda found: _mask_rest(found.group(0)), text)


def _mask_rest(rest: str) -> str:
    end = _userinfo_end(rest)
    return rest if end is None else MASKED_USERINFO + rest[end:]


def _userinfo_end(rest: str) -> int | None:
    """Index of the `@` that ends the user information in *rest* (a URL behind its `://`); None when there is none."""
    authority = re.split(r'[/?#]', rest, maxsplit=1)[0]
    if '@' in authority:
        return authority.rindex('@')
    _host, colon, port = authority.rpartition(':')
    # `http://user:pa/ss@host`: what looks like a port is no number, so this is a password with a raw delimiter in it.
    if '@' in rest and colon and port and not port.isdigit() and not authority.endswith(']'):
        return rest.rindex('@')
    return None
