#!/usr/bin/env bash
# On a node: installs the package that lies beside this file, with PYTHON where one is given (of an image that has Ray),
# else in ~/rlx2-venv, a virtual environment of Python 3.11; and has shells read environment.sh, if there is one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=~/rlx2-venv # not beside this file: what lies there, the head copies to the workers
python=${1:-$venv/bin/python}
if [ $# -eq 0 ] && [ ! -x "$python" ]; then
    python3.11 -m venv "$venv"
fi
wheel=$(ls -t "$here"/rlx2_ray-*.whl | head -n 1) # older ones may have stayed from before
torch=$("$python" -c 'import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    print(re.search(r"^Requires-Dist: (torch==\S+)", wheel.read(metadata).decode(), re.MULTILINE)[1])' "$wheel")
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet "$torch" # first and by itself, so that nothing fetches another build of it
"$python" -m pip install --quiet "${wheel}[cluster]"
line=". $here/environment.sh"
if [ -f "$here/environment.sh" ] && ! grep -qsxF "$line" ~/.bashrc; then
    echo "$line" >>~/.bashrc
fi
