# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking what listens on this host whether it is well: by no proxy, and whatever name its certificate has."""

from __future__ import annotations

import http.client
import ssl
import urllib.parse


def ask(url: str, timeout: float = 3.0) -> tuple[int, str] | None:
    """Status, and the first kilobyte of the body, of a GET; None when nothing answers."""
    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or '', parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == 'https':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request('GET', parts.path or '/')
        answer = connection.getresponse()
        return answer.status, answer.read(1024).decode('utf-8', 'replace')
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
