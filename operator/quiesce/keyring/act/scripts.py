"""PURE. The POSIX shell scripts that run on hosts. Values get into them quoted, or not at all.

A script is sent over standard input, so that no process list shows any of it, and is one brace
group, so that a connection that breaks half-way runs none of it. What concerns the account's own
files runs as that account: a link that the account has made could lead root anywhere.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

from quiesce.keyring.act.path_check import CHECK, check_rows, check_values
from quiesce.keyring.model.changes import (
    AdoptMarks,
    Change,
    InstallFile,
    KeepLines,
    MakeAccount,
    MakeDirectory,
    MakeHome,
    RemoveAccount,
    RemoveDirectory,
    RemoveFile,
    RemoveStaleFiles,
    SetMode,
    SetShell,
)
from quiesce.keyring.model.desired import HostLayout
from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.visit import PathTarget

_OLD = "-mmin +10"
"""A folder of a path check that is older was left behind by one that broke off."""

_COMMON = r"""
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
say() { printf 'quiesce %s\n' "$*"; }
facts() { stat -c '%F|%U|%a' -- "$1" 2>/dev/null || :; }
# What the account prints, as one word of our report: it could print lines that look like ours.
enclose() { say account_report "$(head -c 131072 | base64 | tr -d '\n')"; }
entry=$(getent passwd -- "$user" | head -n 1) || :
uid=$(printf '%s' "$entry" | cut -d: -f3) gid=$(printf '%s' "$entry" | cut -d: -f4)
as_user() {
    set -- env -i HOME="$home" USER="$user" LOGNAME="$user" LC_ALL=C PATH="$PATH" "$@"
    if command -v setpriv >/dev/null; then
        (cd / && setpriv --reuid "$uid" --regid "$gid" --init-groups --inh-caps=-all -- "$@")
    else
        (cd / && runuser -u "$user" -- "$@")
    fi
}
"""

_OBSERVE = r"""
say uid "$(id -u)"
system='s/^SYS_UID_MAX[[:space:]]\{1,\}\([0-9]\{1,10\}\)[[:space:]]*$/\1/p'
say system_uids "$(sed -n "$system" /etc/login.defs 2>/dev/null | tail -n 1)"
say known_hosts "$(facts "$known_hosts")"
if [ -f "$known_hosts" ] && [ ! -L "$known_hosts" ]; then
    say known_lines "$(sed -n "$ours" "$known_hosts" | grep -v '^#' | sha256sum | cut -d' ' -f1)"
    say found "$(sed -n "$ours" "$known_hosts" |
        sed -n 's/^\(# found .*\) [^ ]*$/\1/p' | head -n 1)"
fi
for file in "${known_hosts%/*}/.tmp.$tag".*; do [ -e "$file" ] && say stale; done
id() { stat -c %d:%i -- "$1" 2>/dev/null || :; }
same() { [ "$(id "$root$1")" = "$(id "$1")" ] && printf yes || printf no; }
# An interpreter that runs a program of that name: no editor, no supervisor, no tail of its log.
for file in $(grep -lzE '(^|/)nova-compute(:.*)?$' /proc/[0-9]*/cmdline 2>/dev/null); do
    process=${file%/cmdline} root=${file%/cmdline}/root
    case $(readlink "$process/exe" 2>/dev/null) in */python*) ;; *) continue ;; esac
    owner=$(sed -n 's/^Uid:[[:space:]]*[0-9]*[[:space:]]*\([0-9]*\).*/\1/p' "$process/status")
    if [ "$(id "$root/etc/passwd")" = "$(id /etc/passwd)" ]; then
        its_home=$(getent passwd -- "$owner" | head -n 1 | cut -d: -f6)
    else
        its_home=$(sed -n "s/^[^:]*:[^:]*:$owner:[^:]*:[^:]*:\([^:|]*\):.*/\1/p" \
            "$root/etc/passwd" 2>/dev/null | head -n 1)
    fi
    case $(cat "$process/cgroup" 2>/dev/null) in
    *kubepods*) where=pod ;;
    *libpod* | *docker* | *containerd* | *crio*) where=container ;;
    *) if [ "$(id "$root/")" = "$(id /)" ]; then where=host; else where=container; fi ;;
    esac
    seen_home=no seen_hosts=yes
    [ "$(same "$home")$(same "$home/.ssh")" = yesyes ] && seen_home=yes
    if [ -e "$known_hosts" ] || [ -e "$root$known_hosts" ]; then
        cmp -s -- "$known_hosts" "$root$known_hosts" || seen_hosts=no
    fi
    [ -d "$root$instances" ] && folder=$(id "$root$instances") || folder=
    say compute "$where|$owner|$its_home|$seen_home|$seen_hosts|$folder"
done
if [ -x "$shell" ]; then say shell_usable yes; else say shell_usable no; fi
say home "$(facts "$home")"
if [ -n "$entry" ]; then
    say account "$uid:$gid:$(printf '%s' "$entry" | cut -d: -f6,7)"
    say ssh_dir "$(facts "$home/.ssh")"
    if [ -d "$home/.ssh" ] && [ ! -L "$home/.ssh" ]; then
        as_user /bin/sh -c "$observe_as_user" sh "$tag" "$ours" "$include" \
            "$old_tag" "$old_ours" "$keys" </dev/null 2>&1 | enclose
    fi
    for folder in "$instances" "$home"; do
        [ "$(find "$folder" -maxdepth 1 -name ".$tag.*" $age 2>/dev/null)" ] &&
            say stale
    done
fi
say end
"""

_OBSERVE_AS_USER = r"""
tag=$1 ours=$2 include=$3 old_tag=$4 old_ours=$5 keys=$6
say() { printf 'quiesce %s\n' "$*"; }
facts() { stat -c '%F|%U|%a' -- "$1" 2>/dev/null || :; }
if cd "$HOME/.ssh" 2>/dev/null && [ -w . ]; then say readable yes; else say readable no; exit; fi
plain() { [ -f "$1" ] && [ ! -L "$1" ]; }
for file in authorized_keys config; do
    say $file "$(facts $file)"
    if plain $file && [ ! -r $file ]; then say readable no; fi
done
if plain authorized_keys; then
    sed -n "$ours" authorized_keys | grep -v '^#' |
        while IFS= read -r line; do say authorized "$line"; done
fi
if plain config; then
    sed -n "$ours" config | grep -v '^#' | while IFS= read -r line; do say config_line; done
    first=$(sed '/^[[:space:]]*$/d; /^[[:space:]]*#/d; /^Include quiesce\./!q' config |
        grep -Fx -e "$include")
    [ -n "$first" ] && say included yes
fi
for file in "$tag".*; do
    if plain "$file" && [ -r "$file" ]; then
        say own "$file|$(facts "$file")|$(sha256sum <"$file" | cut -d' ' -f1)"
    elif [ -e "$file" ] || [ -L "$file" ]; then
        say own "$file|$(facts "$file")|"
    fi
done
key_id='s/^ *IdentityFile .*\.\([0-9a-f]\{12\}\)$/\1/p'
plain "$tag.conf" && say uses "$(sed -n "$key_id" "$tag.conf" | head -n 1)"
for file in .tmp."$tag".*; do [ -e "$file" ] && say stale; done
printf '%s\n' "$keys" | while read -r id key; do
    [ -n "$key" ] || continue
    if plain "$old_tag.$id"; then say old; fi
    if plain authorized_keys; then
        sed -n "$old_ours" authorized_keys | grep -qF -e "$key" && say old
    fi
done
:
"""

_APPLY = r"""
step=0
did() { say did "$step"; step=$((step + 1)); }
failed() {
    say failed "$step $(printf '%s' "$1" | tr -c '[:print:]' ' ' | cut -c1-300)"
    say end
    exit 0
}
as_root() { "$@"; }
act() { # who, content, operation, its arguments: content goes through a pipe, not a process list
    who=$1 content=$2
    shift 2
    errors=$(printf '%s' "$content" |
        "$who" /bin/sh -c "$operations" sh "$tag" "$not_ours" "$@" 2>&1 >/dev/null) ||
        failed "${errors:-${1} $2 failed}"
    did
}
whole() { errors=$("$@" 2>&1) || failed "$errors"; did; }
make_account() { # no password, and not locked either: sshd lets no locked account in
    set -- --system --no-create-home --home-dir "$home" --shell "$shell" --password '*'
    owner=$(stat -c %u:%U -- "$home" 2>/dev/null) || owner=
    [ -z "$user_id" ] || owner=$user_id:UNKNOWN
    case $owner in *:UNKNOWN) set -- "$@" --uid "${owner%:*}" ;; esac
    group=$(stat -c %g:%G -- "$home" 2>/dev/null) || group=
    if getent group -- "$user" >/dev/null; then
        set -- "$@" --gid "$user"
    else
        case $group in
        *:UNKNOWN) groupadd --gid "${group%:*}" -- "$user" && set -- "$@" --gid "$user" ;;
        *) set -- "$@" --user-group ;;
        esac
    fi
    useradd "$@" -- "$user"
}
make_home() {
    (umask 022 && mkdir -p -- "${home%/*}") && mkdir -m 755 -- "$home" &&
        chown -h -- "$uid:$gid" "$home"
}
remove_account() { # userdel keeps an account that has processes
    if [ -e "$home" ] && [ -n "$(ls -A -- "$home")" ]; then return 0; fi
    userdel -- "$user" && { [ ! -d "$home" ] || rmdir -- "$home"; } || :
}
"""

_OPERATIONS = r"""
set -e
export LC_ALL=C
umask 077
tag=$1 not_ours=$2 operation=$3 path=$4 mode=${5:-} option=${6:-}
dir=${path%/*}
new=$dir/.tmp.$tag.$$
trap 'rm -f -- "$new"' EXIT
place() { # on the disk first, then under its name: the new content is there whole or not at all
    sync "$new"
    chmod "$mode" "$new"
    mv -f -- "$new" "$path"
    sync "$dir"
}
case $operation in
install)
    cat >"$new"
    place
    ;;
keep)
    [ -n "$mode" ] || mode=$(stat -c %a -- "$path")
    cat >"$new"
    if [ -f "$path" ]; then sed "$not_ours" <"$path" >>"$new"; fi
    if [ "$option" = drop ] && [ ! -s "$new" ]; then rm -f -- "$path"; else place; fi
    ;;
make)
    mkdir -m 700 -- "$path"
    [ -z "$mode" ] || chown -h -- "$mode" "$path"
    ;;
mode) chmod -- "$mode" "$path" ;;
remove) rm -rf -- "$path" ;;
leave) rmdir -- "$path" 2>/dev/null || : ;;
tidy) rm -f -- "$dir"/.tmp."$tag".* ;;
adopt) # what came is a sed program for the lines of $path
    if [ -f "$path" ] && [ ! -L "$path" ]; then
        mode=$(stat -c %a -- "$path")
        sed "$(cat)" <"$path" >"$new"
        place
    fi
    ;;
copy) # $path: how the files with the earlier names begin, $mode: how they end
    program=$(cat)
    for end in $mode; do
        if [ ! -f "$path.$end" ] || [ -L "$path.$end" ]; then continue; fi
        sed "$program" <"$path.$end" >"$new"
        chmod 600 "$new"
        mv -f -- "$new" "$dir/$tag.$end"
    done
    sync "$dir"
    ;;
drop) for end in $mode; do rm -f -- "$path.$end"; done ;;
clear) [ ! -d "$path" ] || find "$path" -maxdepth 1 -name ".$tag.*" $mode -exec rm -rf -- {} + ;;
esac
"""

_ACCOUNT_STEPS = {
    MakeAccount: "make_account",
    MakeHome: "make_home",
    RemoveAccount: "remove_account",
}
"""Functions of _APPLY that work on the account of the place."""

_AFTER = r"""
if command -v restorecon >/dev/null; then
    for file in "$known_hosts" "$home/.ssh" "$home/.ssh/authorized_keys" "$home/.ssh/config" \
        "$home/.ssh/$tag".*; do
        if [ -L "$home/.ssh" ] || [ -L "$file" ] || [ ! -e "$file" ]; then continue; fi
        restorecon -- "$file" 2>/dev/null || :
    done
fi
say end
"""


def observe_script(layout: HostLayout, *, removing: bool = False) -> str:
    """Prints everything that matters about a host; changes nothing. Read by `read_observation`.

    `removing`: what a path check may still use is to go as well.
    """
    values = {"observe_as_user": _OBSERVE_AS_USER, "age": "" if removing else _OLD}
    return _group(_values(layout) | values, _COMMON + _OBSERVE)


def change_script(layout: HostLayout, changes: Sequence[Change]) -> str:
    """Carries out `changes` in their order and prints which; stops at the first that fails."""
    steps = "".join(f"{line}\n" for change in changes for line in _step(layout, change))
    return _group(_values(layout) | {"operations": _OPERATIONS}, _COMMON + _APPLY + steps + _AFTER)


def check_script(
    layout: HostLayout, source: str, copied: str, targets: Sequence[PathTarget]
) -> str:
    """Copies the file `copied` as the account from the host `source` to each target, several at a
    time, as Nova does. Read by `read_checks`.
    """
    values = {**check_values(layout, source, copied), "targets": check_rows(targets)}
    return _group(_values(layout) | values, _COMMON + CHECK)


def _values(layout: HostLayout) -> dict[str, str]:
    identity = layout.identity
    patterns = _patterns(identity)
    return {
        "user": layout.user,
        "user_id": "" if layout.user_id is None else str(layout.user_id),
        "home": layout.home,
        "shell": layout.shell,
        "known_hosts": layout.known_hosts_file,
        "instances": layout.instances,
        "tag": identity.tag,
        "include": identity.include,
        "ours": "; ".join(f"{pattern}p" for pattern in patterns),
        "old_tag": identity.unmarked.tag,
        "old_ours": f"{_patterns(identity.unmarked)[0]}p",
        "keys": "\n".join(f"{key.id} {key.base64}" for key in layout.keys if identity.mark),
        "not_ours": "; ".join(f"{pattern}d" for pattern in patterns),
    }


def _patterns(identity: Identity) -> tuple[str, str]:
    """sed addresses of our lines in shared files. No line can match both."""
    marker, include = _literal(identity.marker), _literal(identity.include)
    return f"/[[:space:]]{marker}$/", f"/^{include}$/"


def _literal(text: str) -> str:
    """For a sed pattern whose delimiter is a slash."""
    return re.sub(r"([./\[\]*^$\\])", r"\\\1", text)


def _group(values: Mapping[str, str], body: str) -> str:
    assigned = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return f"{{\n{assigned}{body}\nexit 0\n}}\n"


def _step(layout: HostLayout, change: Change) -> tuple[str, ...]:
    match change:
        case AdoptMarks():
            return _adoption(layout)
        case RemoveStaleFiles(in_use):
            return _tidying(layout, in_use)
        case MakeAccount() | MakeHome() | RemoveAccount():
            return (f"whole {_ACCOUNT_STEPS[type(change)]}",)
        case SetShell(user, shell):
            return (f"whole {shlex.join(['usermod', '-s', shell, user])}",)
    return (_file_step(layout, change),)


def _file_step(layout: HostLayout, change: Change) -> str:
    match change:
        case MakeDirectory(path, as_root):
            return _act(_who(as_root), "make", path, f"{layout.user}:" if as_root else "")
        case SetMode(path, mode, as_root):
            return _act(_who(as_root), "mode", path, f"{mode:o}")
        case InstallFile(path, content):
            return _act("as_user", "install", path, "600", content=content)
        case KeepLines(path, lines, mode, as_root, drop):
            content = "".join(f"{line}\n" for line in lines)
            arguments = (path, f"{mode:o}" if mode is not None else "", "drop" if drop else "")
            return _act(_who(as_root), "keep", *arguments, content=content)
        case RemoveFile(path):
            return _act("as_user", "remove", path)
        case RemoveDirectory(path, as_root):
            return _act(_who(as_root), "leave", path)
    raise AssertionError(change)


def _tidying(layout: HostLayout, in_use: bool) -> tuple[str, ...]:
    folders = (layout.instances, layout.home)
    return _as_one(
        _act("as_root", "tidy", layout.known_hosts_file),
        _act("as_user", "tidy", f"{layout.ssh_dir}/config"),
        *(_act("as_user", "clear", each, "" if in_use else _OLD) for each in folders),
    )


def _adoption(layout: HostLayout) -> tuple[str, ...]:
    """From the names of earlier versions to ours: copied, switched to, and removed last."""
    new, old, ssh_dir = layout.identity, layout.identity.unmarked, layout.ssh_dir
    ends = " ".join(["conf", *(f"{key.id} {key.id}.pub" for key in layout.keys)])
    files = f"s/{_literal(f'{ssh_dir}/{old.tag}.')}/{_literal(f'{ssh_dir}/{new.tag}.')}/"
    end = f"s/\\([[:space:]]\\){_literal(old.marker)}$/\\1{_literal(new.marker)}/"
    ours = "\n".join(f"\\,{key.base64},{end}" for key in layout.keys)
    include = f"s/^{_literal(old.include)}$/{_literal(new.include)}/"
    return _as_one(
        _act("as_user", "copy", f"{ssh_dir}/{old.tag}", ends, content=files),
        _act("as_user", "adopt", f"{ssh_dir}/authorized_keys", content=ours),
        _act("as_user", "adopt", f"{ssh_dir}/config", content=include),
        _act("as_root", "adopt", layout.known_hosts_file, content=end),
        _act("as_user", "drop", f"{ssh_dir}/{old.tag}", ends),
    )


def _as_one(*acts: str) -> tuple[str, ...]:
    """Counted as one change."""
    return (*(f"{act}; step=$((step - 1))" for act in acts[:-1]), acts[-1])


def _who(as_root: bool) -> str:
    return "as_root" if as_root else "as_user"


def _act(who: str, operation: str, *arguments: str, content: str = "") -> str:
    return f"act {who} {shlex.join([content, operation, *arguments])}"
