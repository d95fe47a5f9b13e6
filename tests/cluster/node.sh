#!/usr/bin/env bash
# A machine to reach by ssh, in namespaces of its own: run below `unshare --net --pid --mount --uts --fork`.
# node.sh NAME ADDRESS FOLDER HOSTS: FOLDER holds home/, ray/, host_key, authorized_keys; HOSTS is its /etc/hosts.
# It waits for its end of a cable, an interface of the name NAME, and ends with the process.
set -euo pipefail
name=$1 address=$2 folder=$3 hosts=$4

hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir /run/sshd
mount --bind "$hosts" /etc/hosts
mount --bind "$folder/ray" /tmp/ray # all that Ray keeps on a machine
sed "s#^root:\(.*\):[^:]*:[^:]*\$#root:\1:$folder/home:/bin/bash#" /etc/passwd >"$folder/passwd"
mount --bind "$folder/passwd" /etc/passwd

until ip link show "$name" >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up
ip address add "$address/24" dev "$name"
ip link set "$name" up

exec /usr/sbin/sshd -D -e -f /dev/null -h "$folder/host_key" -o "ListenAddress=$address" -o PidFile=none \
    -o "AuthorizedKeysFile=$folder/authorized_keys" -o StrictModes=no -o PasswordAuthentication=no -o UsePAM=no \
    -o PermitRootLogin=prohibit-password
