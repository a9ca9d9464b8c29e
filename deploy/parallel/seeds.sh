#!/bin/bash
# Seeds of the simulated network with GNU parallel, on machines that share a folder and are reached by ssh.
#
#   deploy/parallel/seeds.sh /shared/seeds 100000 20 --sshlogin 8/one,8/two
#   cbdc-simulate-network --merge /shared/seeds                          names missing parts and seeds that failed
#
# The arguments: the folder, the number of seeds, the number of parts; those after them go to parallel. FIRST is the
# first seed (1), CBDC_SIMULATE the program, if it is not on the PATH. A single machine does not need this: the program
# uses all its cores.

set -eu
folder="${1:?expected a folder that all machines see, found no argument}"
seeds="${2:?expected the number of seeds, found no second argument}"
parts="${3:?expected the number of parts, found no third argument}"
shift 3
command -v parallel >/dev/null || {
    echo "expected GNU parallel on the PATH, found none: apt-get install parallel" >&2
    exit 1
}
seq 0 $((parts - 1)) | parallel --line-buffer "$@" "${CBDC_SIMULATE:-cbdc-simulate-network}" --seed "${FIRST:-1}" \
    --seeds "$seeds" --index {} --count "$parts" --jobs 1 --out "$folder"
