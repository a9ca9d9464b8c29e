#!/bin/bash
# A sweep with GNU parallel: on this machine, or on several that share a folder and are reached by ssh.
#
#   cbdc sweep plan simulations/sweeps/holding-limit.toml --out /shared/limits
#   deploy/parallel/sweep.sh /shared/limits 20                      20 parts here, one at a time per core
#   deploy/parallel/sweep.sh /shared/limits 20 --sshlogin 8/one,8/two    on the machines one and two, 8 at once on each
#   cbdc sweep merge /shared/limits                                 names missing runs
#
# Arguments after the second go to parallel. A single machine does not need this: `cbdc sweep run` uses all its cores.
# CBDC is the program, if it is not on the PATH. May be run again: finished runs are skipped.

set -eu
folder="${1:?expected the folder that holds plan.json, found no argument}"
parts="${2:?expected the number of parts, found no second argument}"
shift 2
command -v parallel >/dev/null || {
    echo "expected GNU parallel on the PATH, found none: apt-get install parallel" >&2
    exit 1
}
seq 0 $((parts - 1)) | parallel --halt soon,fail=1 --line-buffer "$@" \
    "${CBDC:-cbdc}" sweep run "$folder" --index {} --count "$parts" --threads 1
