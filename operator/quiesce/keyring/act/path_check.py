"""PURE. The proof of a path: the copy that Nova would make, in small, and what its report means.

Nova's libvirt driver runs `ssh DEST mkdir -p …`, stops the guest, and then runs `scp -r … DEST:…`
(libvirt/driver.py migrate_disk_and_power_off). Since OpenSSH 9, scp needs sshd's sftp subsystem,
so a login alone proves nothing about it. A base image that is gone from Glance is fetched the
other way, by the host name of the source (_try_fetch_image_cache).
"""

import re
import shlex
from collections.abc import Mapping, Sequence

from quiesce.api.outside import cleaned
from quiesce.keyring.model.desired import HostLayout, digest
from quiesce.keyring.model.visit import PathCheck, PathTarget

PARALLEL_CHECKS = 8
_STEP_SECONDS = 20
_MESSAGE_LENGTH = 160

CHECK = r"""
printf '%s\n' "$targets" |
    as_user xargs -r -n 4 -P "$parallel" /bin/sh -c "$check_one" \
        sh "$seconds" "$copied" "$prepare" 2>&1 | enclose
say end
"""

# Three logins: make a folder there, copy a public key into it, and under the host's name read that
# again and remove the folder. Whatever breaks this off, the folder is removed: here, by the next
# check, or by the target's own visit.
_CHECK_ONE = r"""
seconds=$1 copied=$2 prepare=$3 number=$4 address=$5 name=$6 expected=$7
case $address in *:*) place="[$address]" ;; *) place=$address ;; esac
folder=
try() {
    output=$(timeout "$seconds" "$@" 2>&1 </dev/null)
    code=$?
}
run() { # sshd drops logins at random when many come at once (MaxStartups)
    try "$@"
    [ "$code" = 255 ] || return 0
    case $output in
    *kex_exchange_identification* | *"onnection reset"* | *"onnection closed by"*)
        sleep 1
        try "$@"
        ;;
    esac
}
remote() { run ssh -n -o BatchMode=yes -- "$1" "$2"; }
tell() {
    output=$(printf '%s' "$2" | tr '\n' '\t' | tr -c '[:print:]\t' ' ' | tail -c 600)
    printf 'quiesce path %s %s %s %s\n' "$number" "$1" "$code" "$output"
}
clean() {
    [ -z "$folder" ] || timeout "$seconds" ssh -o BatchMode=yes -- "$address" \
        "cat >$folder/test; rm -rf -- $folder" <"$copied" 2>&1 >/dev/null
    folder=
}
trap 'clean >/dev/null; exit 1' HUP INT TERM
remote "$address" "$prepare"
facts=$(printf '%s\n' "$output" | sed -n 's/^quiesce made //p')
if [ "$code" != 0 ] || [ -z "$facts" ]; then tell mkdir "$output"; exit; fi
folder=${facts#* }
case $facts in *[!A-Za-z0-9:._/\ -]*) tell mkdir 'it printed something else'; exit ;; esac
if [ "$expected" != - ] && [ "$expected" != "${facts%% *}" ]; then
    clean >/dev/null
    tell elsewhere ''
    exit
fi
run scp -r -- "$copied" "$place:$folder/copy"
if [ "$code" != 0 ]; then # sftp-server says no more than "Failure": a write by hand gives the cause
    errors=$output
    tell copy "$errors
$(clean)"
    exit
fi
remote "$name" "cat -- $folder/copy && rm -rf -- $folder"
if [ "$code" = 0 ] && printf '%s\n' "$output" | grep -qxF -f "$copied"; then
    tell works ''
else
    errors=$output
    clean >/dev/null
    tell fetch "$errors"
fi
"""

_LOGIN_FAILURES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "HostKeyMismatch"),
    ("Host key verification failed", "HostKeyMismatch"),
    ("Permission denied", "PermissionDenied"),
    ("Connection refused", "Refused"),
    ("timed out", "Timeout"),
    ("No route to host", "Unreachable"),
    ("Network is unreachable", "Unreachable"),
    ("Could not resolve hostname", "Unreachable"),
    ("not available", "ShellNotAllowed"),
    ("Bad configuration option", "ClientConfig"),
    ("Bad owner or permissions", "ClientConfig"),
)
"""Texts of OpenSSH's client (and of nologin), which are never translated, and what they mean."""
_BY_EXIT_CODE = {124: "Timeout", 126: "NoClient", 127: "NoClient", 255: "LoginFailed"}
"""124 is that of `timeout`, 126 and 127 are the shell's, 255 is ssh's own."""
_WRITE_FAILURES = (
    ("No space left", "DiskFull"),
    ("uota exceeded", "DiskFull"),
    ("Read-only file system", "ReadOnly"),
)
_FOLDER_FAILURES = (*_WRITE_FAILURES, ("mkdir:", "NotWritable"), ("rm:", "NotWritable"))
_COPY_FAILURES = (
    *_WRITE_FAILURES,
    ("subsystem request failed", "NoSFTP"),
    ("scp: command not found", "NoSFTP"),
    ("scp: not found", "NoSFTP"),
    ("message too long", "ShellPrints"),
    ("timed out", "Timeout"),
    ("scp: Connection closed", "NoSFTP"),
)
"""Texts of coreutils, of sshd and of scp. The last one is all that is printed where sshd cannot
start its sftp-server: the login before it has worked.
"""


_ADDED_LINES = (
    "scp: Connection closed",
    "scp: Ensure the remote shell",
    "lost connection",
)


_ROW = (
    r"path (?P<place>[0-9]{1,4}) (?P<step>works|mkdir|copy|fetch|elsewhere) "
    r"(?P<code>[0-9]{1,3}) (?P<errors>.{0,1000})"
)


def check_values(layout: HostLayout, source: str, copied: str) -> dict[str, str]:
    """Variables of CHECK. `source`: the host's own name. `copied`: a small file of the account."""
    name = shlex.quote(f".{layout.identity.tag}.{digest(source)[:12]}")
    prepare = (
        f"d={shlex.quote(layout.instances)}; [ -d $d ] || d={shlex.quote(layout.home)}; "
        f'rm -rf -- $d/{name} && mkdir -- $d/{name} && echo "quiesce made $(stat -c %d:%i $d) '
        f'$d/"{name}'
    )
    return {
        "check_one": _CHECK_ONE,
        "prepare": prepare,
        "copied": copied,
        "parallel": str(PARALLEL_CHECKS),
        "seconds": str(_STEP_SECONDS),
    }


def check_rows(targets: Sequence[PathTarget]) -> str:
    """Targets as rows of four words: place in `targets`, address, alias, instances."""
    return "\n".join(
        f"{place} {target.address} {target.alias} {target.instances or '-'}"
        for place, target in enumerate(targets)
        if target.address
    )


def read_checks(lines: Sequence[str], targets: Sequence[PathTarget]) -> Mapping[str, PathCheck]:
    """Lines of CHECK without their prefix -> host -> how the copy there went. What is no such line
    is skipped.
    """
    rows = [match for line in lines if (match := re.fullmatch(_ROW, line))]
    found = {int(row["place"]): row for row in rows}
    return {
        targets[place].name: path_check(
            row["step"], int(row["code"]), row["errors"], targets[place]
        )
        for place, row in found.items()
        if place < len(targets)
    }


def path_check(step: str, code: int, errors: str, target: PathTarget) -> PathCheck:
    """Of a check that ended at `step` with this exit code; `errors`: lines, each after a tab."""
    lines = [line.strip() for line in errors.split("\t") if line.strip()]
    message = cleaned(_cause(lines), _MESSAGE_LENGTH) or f"ended with code {code} and no message"
    match step:
        case "works":
            return PathCheck()
        case "mkdir":
            return PathCheck(_mkdir_reason(code, errors), message)
        case "copy":
            return PathCheck(_known(_COPY_FAILURES, errors) or "CopyFailed", message)
        case "fetch" if code in _BY_EXIT_CODE:
            return PathCheck(
                _login_reason(code, errors), f"under the name {target.alias}: {message}"
            )
        case "fetch":
            return PathCheck("WrongHost", f"{target.alias} and {target.address} are two machines")
    return PathCheck("WrongFolder", "what arrives there is not where its nova-compute looks")


def _mkdir_reason(code: int, errors: str) -> str:
    if code in _BY_EXIT_CODE:
        return _login_reason(code, errors)
    return _known(_FOLDER_FAILURES, errors) or "ShellNotAllowed"


def _login_reason(code: int, errors: str) -> str:
    return _known(_LOGIN_FAILURES, errors) or _BY_EXIT_CODE[code]


def _known(table: Sequence[tuple[str, str]], errors: str) -> str | None:
    return next((reason for text, reason in table if text in errors), None)


def _cause(lines: Sequence[str]) -> str:
    """OpenSSH gives the cause last, after warnings of many lines; scp adds lines of its own."""
    telling = [line for line in lines if not line.startswith(_ADDED_LINES)]
    return (telling or lines or [""])[-1]
