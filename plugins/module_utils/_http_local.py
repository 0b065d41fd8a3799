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
    connection = _connection(url, timeout)
    try:
        connection.request('GET', urllib.parse.urlsplit(url).path or '/')
        answer = connection.getresponse()
        return answer.status, answer.read(1024).decode('utf-8', 'replace')
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def certificate(url: str, timeout: float = 3.0) -> str:
    """The certificate that is shown there, in PEM form; empty when none is."""
    connection = _connection(url, timeout)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(True) if isinstance(connection.sock, ssl.SSLSocket) else None
    except OSError:
        return ''
    finally:
        connection.close()
    return ssl.DER_cert_to_PEM_cert(shown).strip() if shown else ''


def first_certificate(text: str) -> str:
    """The first certificate of a PEM file, in the form in which :func:`certificate` tells one; empty without."""
    begin = text.find(ssl.PEM_HEADER)
    end = text.find(ssl.PEM_FOOTER, begin)
    if begin < 0 or end < 0:
        return ''
    try:
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)])).strip()
    except ValueError:
        return ''


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != 'https':
        return http.client.HTTPConnection(parts.hostname or '', parts.port, timeout=timeout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname or '', parts.port, timeout=timeout, context=context)
