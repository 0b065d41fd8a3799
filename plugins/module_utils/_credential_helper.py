# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credential helpers: programs named docker-credential-NAME that keep logins elsewhere than in a file.

The protocol is docker/docker-credential-helpers' (client/command.go): a verb as the only argument, the rest by standard input, so that
no secret stands in a list of processes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.quickpull.registry.plugins.module_utils._auth_file import Secret
from ansible_collections.quickpull.registry.plugins.module_utils._errors import ConfigError

# A helper that asks something on a screen that nobody looks at would wait for ever.
SECONDS = 30.0
# The name that stands for a token (docker/cli, cli/config/credentials/native_store.go).
TOKEN_USER = '<token>'

_NAME = re.compile(r'^[A-Za-z0-9][A-Za-z0-9._-]*$')
# docker-credential-helpers, credentials/error.go
_NOT_FOUND = 'credentials not found'


def is_name(text: str) -> bool:
    """Whether a helper can be called so."""
    return bool(_NAME.match(text))


@dataclass(frozen=True)
class Helper:
    """A helper by its short name, run with this environment (PATH, HOME and what else its user has).

    For messages, ``named_by``: where the name stands, and ``way_out``: what helps when the helper does not work.
    """

    name: str
    environ: t.Mapping[str, str]
    named_by: str = ''
    way_out: str = ''

    @property
    def program(self) -> str:
        return f'docker-credential-{self.name}'

    @property
    def installed(self) -> bool:
        return shutil.which(self.program, path=self.environ.get('PATH')) is not None

    def get(self, server: str) -> Secret | None:
        """The login that it keeps for a server, None when it has none. Raises ConfigError when it is absent or fails."""
        code, answer = self._run('get', server, server)
        if code != 0:
            if _NOT_FOUND in answer.lower():
                return None
            raise self._failed('get', server, code, answer)
        try:
            found = json.loads(answer)
            username, secret = str(found.get('Username') or ''), str(found.get('Secret') or '')
        except (ValueError, AttributeError, RecursionError):
            raise self._error(f'did not answer with JSON when it was asked for {server}. {self._advice("Mend it")}') from None
        if not secret:
            return None
        return Secret(identity_token=secret) if username == TOKEN_USER else Secret(username, secret)

    def store(self, server: str, secret: Secret) -> None:
        """Hand a login to it. Raises ConfigError when it is absent or fails."""
        username = TOKEN_USER if secret.identity_token else secret.username
        said = {'ServerURL': server, 'Username': username, 'Secret': secret.identity_token or secret.password}
        code, answer = self._run('store', server, json.dumps(said))
        if code != 0:
            raise self._failed('store', server, code, answer.replace(said['Secret'], '***'))

    def erase(self, server: str) -> None:
        """Let it forget a login. Raises ConfigError when it is absent or fails."""
        code, answer = self._run('erase', server, server)
        if code != 0 and _NOT_FOUND not in answer.lower():
            raise self._failed('erase', server, code, answer)

    def _failed(self, verb: str, server: str, code: int, answer: str) -> ConfigError:
        # What a helper prints on success is a secret, so of a failure only `store` and `erase` are quoted, and `get` without braces.
        said = '' if '{' in answer else ' '.join(answer.split())[:200].rstrip('. ')
        return self._error(f'failed to {verb} the login of {server} (exit code {code}){": " + said if said else ""}. {self._advice("Mend it")}')

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f'The credential helper {self.program}{", named by " + self.named_by + "," if self.named_by else ""} {what}'.rstrip(), key=self.name)

    def _advice(self, first: str) -> str:
        return f'{first}, or {self.way_out}.' if self.way_out else ''

    def _run(self, verb: str, server: str, told: str) -> tuple[int, str]:
        if not is_name(self.name):
            raise ConfigError(
                f'{self.name!r}{", named by " + self.named_by + "," if self.named_by else ""} is no name of a credential helper: '
                'it stands behind docker-credential-, as in pass or ecr-login.',
                key=self.name,
            )
        program = shutil.which(self.program, path=self.environ.get('PATH'))
        if program is None:
            raise self._error(
                f'was not found in {self.environ.get("PATH")}, so the login of {server} cannot be kept by it. Nothing was written. {self._advice("Install it")}'
            )
        try:
            done = subprocess.run(
                [program, verb],
                input=told.encode('utf-8', 'surrogateescape'),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(self.environ),
                cwd='/',
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._error(f'did not {verb} the login of {server} within {SECONDS:g} s. {self._advice("Mend it")}') from None
        except OSError as exc:
            raise self._error(f'cannot be run ({program}): {os.strerror(exc.errno or 0)}. {self._advice("Mend it")}') from None
        return done.returncode, done.stdout.decode('utf-8', 'replace')
