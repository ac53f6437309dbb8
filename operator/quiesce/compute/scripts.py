"""PURE. The POSIX shell scripts that observe, stop and restore nova-compute on a host.

Names get into them quoted, and each script ends by reporting what it finds then. Nothing is changed
that is not proven to be nova-compute: a name in a spec must not stop anything else as root.

A unit is held by a drop-in with an assertion that never holds (systemd.unit(5), AssertPathExists=),
and not disabled and masked: mask refuses a unit whose file lies in /etc, as kolla-ansible's and
TripleO's do, and makes systemd forget how the unit is to be stopped; disable removes links that
enable does not bring back, and does nothing for a unit that another one wants. A container is held
by its restart policy.
"""

import shlex

from quiesce.api.host import Supervisor
from quiesce.compute.model import HELD, Unit, UnitState

_DROP_IN = """\
# Quiesce drains this host and keeps nova-compute from starting meanwhile. To end that by hand:
# remove this file, then systemctl daemon-reload.
[Unit]
AssertPathExists=/nonexistent/quiesce-drains-this-host
"""


_COMMON = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
say() { printf 'quiesce %s\n' "$*"; }
message() { say message "$(printf '%s' "$*" | tr '\n' ' ' | cut -c1-300)"; }
tell() {
    output=$("$@" 2>&1 </dev/null) && return
    message "$output"
    return 1
}
there=
"""

# A Python program of that name, and whether a kubelet started it: its control groups are below
# kubepods (kubernetes/pkg/kubelet/cm/pod_container_manager_linux.go).
_PROCESSES = r"""
computes() {
    for file in $(grep -lzE '(^|/)nova-compute(:.*)?$' /proc/[0-9]*/cmdline 2>/dev/null); do
        file=${file%/cmdline}
        case $(readlink "$file/exe" 2>/dev/null) in */python*) echo "${file##*/}" ;; esac
    done
}
"""
_FIND_PROCESSES = r"""
for pid in $(computes); do
    case $(cat "/proc/$pid/cgroup" 2>/dev/null) in
    *kubepods*) say process pod ;;
    ?*) say process other ;;
    esac
done
"""

# What proves that it is nova-compute that would be stopped: a nova-compute among its processes;
# that it is held already; where it has no process, what it is made to start. `runs`: the program of
# another, without arguments, which may be secret.
_PROVE = r"""
proof= main=
named() { case $1 in *nova[-_]compute*) ;; *) return 1 ;; esac; }
if [ "$there" ]; then
    prove
    if [ -z "$proof" ] && [ "${main:-0}" -eq 0 ] 2>/dev/null && named "$declared"; then
        proof=declared
    fi
    say proof "$proof"
    [ "$proof" ] || say runs "$(readlink "/proc/$main/exe" 2>/dev/null)"
fi
"""

# Of a unit: a process in its own control group, where the unit is made to start nova-compute (and
# is not the sshd or cron from which a person did), or in a container that the unit starts by name.
# Podman puts a container below its unit with --cgroups=split. A slice holds other units.
_PROVE_UNIT = r"""
prove() {
    id=$(show Id) main=$(show MainPID) group=$(show ControlGroup) start=$(show ExecStart)
    declared="$id $start"
    case $id in *.service) ;; *) main=1; return ;; esac
    if [ -e "$hold" ]; then proof=held; fi
    for pid in $(computes); do
        if [ "${group%/}" ] && named "$declared $(tr '\0' ' ' <"/proc/$main/cmdline")" &&
            cut -d: -f3- "/proc/$pid/cgroup" | sed 's,/libpod-payload-[0-9a-f]*$,,' |
            grep -Fqxe "$group"; then
            proof=process
        fi
        container=$(grep -oE '[0-9a-f]{64}' "/proc/$pid/cgroup" | head -n 1)
        for tool in ${container:+docker podman}; do
            case $start in *"$tool"*) ;; *) continue ;; esac
            name=$("$tool" inspect --type container -f '{{.Name}}' "$container")
            name=${name#/}
            case $start in *[\ =]"${name:-/}"\ *) proof=process ;; esac
        done
    done 2>/dev/null
    tool=systemctl
}
"""

# Of a container: its main process, or one that this has started, where it is made to start
# nova-compute: once it is stopped, that is all by which it is known when it is to be restored.
_PROVE_CONTAINER = r"""
prove() {
    started='{{.State.Pid}} {{.Name}} {{.Config.Image}} {{.Path}} {{.Args}}'
    declared=$("$tool" inspect --type container -f "$started" -- "$unit" 2>/dev/null)
    main=${declared%% *}
    named "$declared" || return 0
    for pid in $(computes); do
        while [ "${pid:-0}" -gt 1 ]; do
            [ "$pid" = "$main" ] && proof=process
            pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
        done
    done 2>/dev/null
}
"""

# The folder of drop-ins bears the unit's own name, not that of an alias.
_FIND_UNIT = r"""
show() { systemctl show -p "$1" -- "$unit" | cut -d= -f2-; }
loaded=$(show LoadState 2>&1)
case $loaded in
not-found | *' unit name'*) say absent ;;
loaded | masked | error | bad-setting) there=1 ;;
*) message "$loaded" ;;
esac
hold=/etc/systemd/system/$(show Id 2>/dev/null).d/quiesce.conf
"""

_UNIT_STATE = rf"""
case $(show ActiveState) in inactive | failed) ;; *) say running ;; esac
boot=$(show UnitFileState)
if [ -e "$hold" ]; then # systemd reads no drop-ins of a masked unit
    case "$boot $(show DropInPaths)" in masked* | *"$hold"*) boot={HELD}; say stays ;; esac
fi
say boot "$boot"
"""

_STOP_UNIT = rf"""
hold() {{
    umask 022 && mkdir -p "${{hold%/*}}" && printf '%s' {shlex.quote(_DROP_IN)} >"$hold" &&
        systemctl daemon-reload
}}
tell hold && tell systemctl stop -- "$unit"
"""

_RELEASE_UNIT = r"""
if [ -e "$hold" ]; then
    tell rm -- "$hold"
    rmdir -- "${hold%/*}" 2>/dev/null
    tell systemctl daemon-reload
fi
"""

# Only stdout is read: podman under docker's name says on stderr, at each call, that it is podman.
_FIND_CONTAINER = r"""
policy=.HostConfig.RestartPolicy
facts="{{.State.Status}} {{$policy.Name}}:{{$policy.MaximumRetryCount}}"
inspect() { "$tool" inspect --type container -f "$facts" -- "$unit"; }
inspected() {
    seen=$(inspect 2>/dev/null)
    boot=${seen#* }
    boot=${boot%:0}
}
inspected
if [ "$seen" ]; then
    there=1
else
    output=$(inspect 2>&1)
    case $output in *[Nn]'o such container'*) say absent ;; esac
    message "$output"
fi
# podman itself starts nothing at boot: podman-restart.service does, by policy.
# dockerd starts whatever has a policy.
starts_at_boot() {
    case $1 in no | '') return 1 ;; esac
    case $("$tool" --version 2>/dev/null) in podman*) ;; *) return 0 ;; esac
    systemctl -q is-enabled podman-restart.service 2>/dev/null &&
        systemctl show -p ExecStart podman-restart.service | grep -Eqw "restart-policy=${1%:*}"
}
"""

# A unit in whose file there are a start command and the container's name.
_FIND_STARTER = r"""
places='/run/systemd/generator /etc/systemd/system /run/systemd/system
    /usr/local/lib/systemd/system /usr/lib/systemd/system'
for file in $(grep -REls --include='*.service' "(^|[ =\"'])$pattern([ \"']|\$)" $places); do
    grep -E '^ExecStart(Pre|Post)?=' "$file" | grep -E 'podman|docker' |
        grep -Eqw 'start|run' || continue
    name=${file##*/}
    if systemctl -q is-enabled -- "$name" 2>/dev/null || systemctl -q is-active -- "$name"; then
        say starter "$name"
        there=
        break
    fi
done
"""

_CONTAINER_STATE = r"""
inspected
case ${seen%% *} in
created | configured | initialized | exited | stopped | dead) ;;
*) say running ;;
esac
starts_at_boot "$boot" || say stays
say boot "$boot"
"""

_STOP_CONTAINER = r"""
if case $boot in
    no | '') ;;
    *) tell "$tool" update --restart=no "$unit" ;;
    esac || ! starts_at_boot "$boot"; then
    tell "$tool" stop "$unit"
else
    version=$("$tool" --version 2>/dev/null)
    case $version in podman*) say stuck "$version" ;; esac
fi
"""

_RESTORE_POLICY = r"""
[ "${boot:-no}" = "$restart" ] || tell "$tool" update "--restart=$restart" "$unit"
"""


def observe_script(unit: Unit) -> str:
    """Changes nothing."""
    return _script(unit, "", starter=True)


def stop_script(unit: Unit) -> str:
    """Held first, then stopped: cut off in between, it does not come back."""
    systemd = unit.supervisor is Supervisor.SYSTEMD
    return _script(unit, _STOP_UNIT if systemd else _STOP_CONTAINER, starter=True)


def restore_script(unit: Unit, found: UnitState) -> str:
    """Makes it start by itself as it did when it was `found`, and run if it ran then."""
    start = 'tell "$tool" start -- "$unit"\n' if found.running else ""
    if unit.supervisor is Supervisor.SYSTEMD:
        release = "" if found == UnitState(False, HELD) else _RELEASE_UNIT
        return _script(unit, release + start, starter=False)
    policy = f"restart={shlex.quote(found.boot or 'no')}\n{_RESTORE_POLICY}"
    return _script(unit, policy + start, starter=False)


def _script(unit: Unit, steps: str, *, starter: bool) -> str:
    """`steps` run where the unit is proven to be nova-compute and, with `starter`, where no other
    unit starts it.
    """
    systemd = unit.supervisor is Supervisor.SYSTEMD
    tool = "systemctl" if systemd else unit.supervisor.lower()
    pattern = unit.name.replace(".", "[.]")
    values = f"unit={shlex.quote(unit.name)} tool={tool} pattern={shlex.quote(pattern)}\n"
    find, state = (_FIND_UNIT, _UNIT_STATE) if systemd else (_FIND_CONTAINER, _CONTAINER_STATE)
    if starter and not systemd:
        find += _FIND_STARTER
    prove = _PROCESSES + (_PROVE_UNIT if systemd else _PROVE_CONTAINER) + _PROVE
    there = 'if [ "$there" ]; then\n'
    proven = f'if [ "$proof" ]; then\n:\n{steps}fi\n'
    others = _FIND_PROCESSES if starter else ""
    return (
        f"{{\n{values}{_COMMON}{find}{prove}{there}{proven}{state}say exists\nfi\n"
        f"{others}say end\nexit 0\n}}\n"
    )
