#!/usr/bin/env bash
# On a fresh machine of a cloud (Ubuntu), before install.sh: Python 3.11, and the share RLX2_NFS mounted at RLX2_STORAGE.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=~/rlx2-venv
. "$here/environment.sh"
cloud-init status --wait >/dev/null || true # it may hold the package manager
if [ ! -x "$venv/bin/python" ]; then
    curl -LsSf https://astral.sh/uv/install.sh | env UV_INSTALL_DIR="$HOME/.local/bin" UV_NO_MODIFY_PATH=1 sh
    ~/.local/bin/uv venv --quiet --seed --python 3.11 "$venv"
fi
if [ -n "$RLX2_NFS" ] && ! mountpoint -q "$RLX2_STORAGE"; then
    sudo apt-get -qq update
    sudo apt-get -qq install -y nfs-common
    sudo mkdir -p "$RLX2_STORAGE"
    sudo mount -t nfs -o nfsvers=4.1,hard "$RLX2_NFS" "$RLX2_STORAGE"
    sudo chown "$(id -u):$(id -g)" "$RLX2_STORAGE"
fi
