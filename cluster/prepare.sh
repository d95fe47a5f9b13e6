#!/usr/bin/env bash
# cluster/prepare.sh [CLUSTER.yaml], on your machine, before `ray up` and `docker build`: checks the file; puts into
# cluster/node/ what every node gets, which is the package as it is in this checkout, and where a sweep stores and
# tracks; and makes sure that there is a token for Ray.
#   RLX2_STORAGE         folder that all nodes see, for what sweeps write
#   MLFLOW_TRACKING_URI  server that all nodes reach, such as http://10.0.0.5:5000
#   RLX2_NFS             optional: the share to mount at RLX2_STORAGE (aws.yaml, gcp.yaml), such as 10.0.0.6:/share
set -euo pipefail
[ $# -eq 0 ] || python "$(dirname "$0")/check.py" "$1"
cd "$(dirname "$0")/.."
node=cluster/node
for name in RLX2_STORAGE MLFLOW_TRACKING_URI; do
    if [ -z "${!name:-}" ]; then
        echo "cluster/prepare.sh: $name is not set: the head of this file says what it is." >&2
        exit 2
    fi
done

copy=$(mktemp -d) # a build in place would pack modules of older builds too
trap 'rm -rf "$copy"' EXIT
cp -r pyproject.toml README.md rlx2_ray "$copy"
find "$copy" -name __pycache__ -prune -exec rm -rf {} +
# The version says which sources it is, so that nodes that have others are told apart.
sources=$(cd "$copy" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-10)
sed -i "s/^__version__ = \"\(.*\)\"/__version__ = \"\1+src.$sources\"/" "$copy/rlx2_ray/__init__.py"
rm -f "$node"/rlx2_ray-*.whl
python -m pip wheel --quiet --no-deps --wheel-dir "$node" "$copy"

rm -f "$node/environment.sh"
umask 077 # the address of a tracking server may have a password
{
    echo "# Written by cluster/prepare.sh; read by the shells of every node."
    printf 'export %s=%q\n' RLX2_STORAGE "$RLX2_STORAGE" RLX2_NFS "${RLX2_NFS:-}" \
        MLFLOW_TRACKING_URI "$MLFLOW_TRACKING_URI"
    cat cluster/environment.sh
} >"$node/environment.sh"

ray get-auth-token --generate >/dev/null # the one that is there, if there is one
chmod 600 ~/.ray/auth_token
shown=${MLFLOW_TRACKING_URI/\/\/*@/\/\/***@}
echo "cluster/node/ has $(cd "$node" && ls rlx2_ray-*.whl), storage $RLX2_STORAGE, MLflow at ${shown%%\?*}."
