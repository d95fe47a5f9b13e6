export RAY_AUTH_MODE=token # Ray listens beyond loopback; the token is in ~/.ray/auth_token
# A node that has lost the head for so long ends all that runs on it: `ray down` stops the head alone, and a trial whose
# node was given up must not go on while another node repeats it.
export RAY_gcs_rpc_server_reconnect_timeout_s=20
if [ -d ~/rlx2/venv ]; then
    export PATH="$HOME/rlx2/venv/bin:$PATH"
fi
