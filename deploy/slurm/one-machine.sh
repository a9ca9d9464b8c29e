#!/bin/bash
# A Slurm cluster of this one machine, to try deploy/slurm/sweep.sbatch: no systemd, no accounting, no network but
# loopback.
#
#   deploy/slurm/one-machine.sh start      installs slurm-wlm and munge if they are missing, starts three daemons
#   source "$(deploy/slurm/one-machine.sh folder)/environment"         makes sbatch, squeue and sinfo find it
#   deploy/slurm/one-machine.sh stop       ends the daemons that `start` began, by their ids, and no others
#
# One folder (CBDC_SLURM, else /tmp/cbdc-slurm) holds configuration, keys, state, logs and process ids. Its munge has a
# socket and a key of its own and does not conflict with another; ports 16817 and 16818 on loopback. `start` may be run
# again: running daemons are left alone. Exit code 3 from `start`: Slurm cannot be installed here (no root rights, or no
# Debian).

set -eu

folder="${CBDC_SLURM:-/tmp/cbdc-slurm}"
say() { printf 'one-machine slurm: %s\n' "$*" >&2; }

alive() { [ -f "$folder/$1.pid" ] && kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null; }

install() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    [ "$(id -u)" = 0 ] || { say "needs root rights to install slurm-wlm and munge; found user $(id -un)"; exit 3; }
    command -v apt-get >/dev/null || { say "needs apt-get to install slurm-wlm and munge; found none"; exit 3; }
    say "installing Debian's slurm-wlm and munge (no service is started)"
    # Packages must not start services of their own: those of this folder are started below.
    export DEBIAN_FRONTEND=noninteractive
    printf '#!/bin/sh\nexit 101\n' > "$folder/policy-rc.d"
    chmod 755 "$folder/policy-rc.d"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        ln -s "$folder/policy-rc.d" /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -qq >&2 &&
        apt-get install -y -qq --no-install-recommends slurm-wlm munge >"$folder/install.log" 2>&1 \
        || { say "apt-get could not install them; see $folder/install.log"; exit 3; }
}

configure() {
    local host cores memory_mib
    host="$(hostname -s)"
    cores="$(nproc)"
    memory_mib="$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)"
    mkdir -p "$folder"/{state,spool,log,munge}
    chmod 755 "$folder" "$folder/munge"
    [ -s "$folder/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
    cat > "$folder/slurm.conf" <<CONFIGURATION
ClusterName=onemachine
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory_mib State=UNKNOWN
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONFIGURATION
    echo "export SLURM_CONF='$folder/slurm.conf'" > "$folder/environment"
}

wait_for() {
    local what="$1" tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || { say "$what did not come up in 30 seconds; see $folder/log"; stop; exit 1; }
        sleep 0.2
    done
}

start() {
    mkdir -p "$folder"
    install
    configure
    export SLURM_CONF="$folder/slurm.conf"
    if ! alive munged; then
        munged --force --key-file="$folder/munge.key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
            --log-file="$folder/log/munged.log" --seed-file="$folder/munged.seed"
    fi
    wait_for munged munge -n -S "$folder/munge/socket"
    alive slurmctld || slurmctld -f "$folder/slurm.conf"
    wait_for slurmctld scontrol ping
    alive slurmd || slurmd -f "$folder/slurm.conf"
    wait_for "the machine" sh -c 'sinfo -h -o %T | grep -Eq "idle|mixed|allocated"'
    say "$(sinfo -h -o '%D machine, %c cores, %T'); source $folder/environment"
}

stop() {
    for daemon in slurmd slurmctld munged; do
        alive "$daemon" || continue
        kill "$(cat "$folder/$daemon.pid")"
        for _ in $(seq 50); do alive "$daemon" || break; sleep 0.1; done
        alive "$daemon" && say "$daemon (id $(cat "$folder/$daemon.pid")) still runs" || rm -f "$folder/$daemon.pid"
    done
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    folder) echo "$folder" ;;
    *) say "expected start, stop or folder, found \`${1:-}\`"; exit 2 ;;
esac
