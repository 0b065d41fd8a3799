# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own certificate authority and the certificates, good and bad, of its servers."""
from __future__ import annotations

from pathlib import Path

from lab.mirrors import HUB_NAMES, OTHER_UPSTREAMS, REGISTRY_NAMES, WORKER_NAMES
from lab.process import run

DAYS = '3650'
# Python 3.13 verifies strictly: without key identifiers and a proper key usage it refuses an authority.
CA_EXTENSIONS = ('basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign',
                 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid:always')
# `openssl ca` takes a date of the past in every version; `openssl x509 -days -1` ends with an error since OpenSSL 3.5 (Debian 13).
EXPIRED = ('-startdate', '20200101000000Z', '-enddate', '20210101000000Z')
AUTHORITY = """
[ca]
default_ca = lab
[lab]
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
database = {folder}/issued
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = {names}
"""
NEW_KEY = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')

CERTIFICATES = {    # file -> names in it
    'upstreams': (*HUB_NAMES, 'docker.io', *OTHER_UPSTREAMS),
    'good-tls': ('good-tls.lab',),
    'wrong-name': ('somebody-else.lab',),
    'registries': REGISTRY_NAMES,
    'expired': ('expired.lab',),
    'worker': WORKER_NAMES,
}


def ensure(folder: Path) -> None:
    """Make what is missing in ``folder``: ca.crt, ca.key, and NAME.crt, NAME.key for each certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / 'ca.crt').exists():
        _self_signed(folder, 'ca', 'quickpull lab CA', CA_EXTENSIONS)
    for name, names in CERTIFICATES.items():
        if not (folder / f'{name}.crt').exists():
            _signed(folder, name, names)
    if not (folder / 'self-signed.crt').exists():
        _self_signed(folder, 'self-signed', 'self-signed.lab', ('subjectAltName=DNS:self-signed.lab', 'extendedKeyUsage=serverAuth'))


def _self_signed(folder: Path, name: str, common_name: str, extensions: tuple[str, ...]) -> None:
    unfinished = folder / f'{name}.crt.part'
    added = [word for extension in extensions for word in ('-addext', extension)]
    run(['openssl', 'req', '-x509', *NEW_KEY, '-days', DAYS, '-subj', f'/CN={common_name}', *added, '-keyout', f'{folder}/{name}.key', '-out', str(unfinished)])
    unfinished.rename(folder / f'{name}.crt')


def _signed(folder: Path, name: str, names: tuple[str, ...]) -> None:
    request, config, unfinished = folder / f'{name}.csr', folder / f'{name}.cnf', folder / f'{name}.crt.part'
    run(['openssl', 'req', '-new', *NEW_KEY, '-subj', f'/CN={names[0]}', '-keyout', f'{folder}/{name}.key', '-out', str(request)])
    config.write_text(AUTHORITY.format(folder=folder, names=','.join(f'DNS:{each}' for each in names)))
    (folder / 'issued').touch()
    run(['openssl', 'ca', '-batch', '-notext', '-config', str(config), '-in', str(request), '-out', str(unfinished),
         *(EXPIRED if name == 'expired' else ('-days', DAYS))])
    request.unlink()
    config.unlink()
    unfinished.rename(folder / f'{name}.crt')
