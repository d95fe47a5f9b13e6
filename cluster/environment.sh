export RAY_AUTH_MODE=token # Ray listens beyond loopback; the token is in ~/.ray/auth_token
# A node that does not answer for half a minute is given up: its trials go on from their checkpoints on other nodes.
export RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=4
# And a node that has lost the head for so long ends all that runs on it, since a trial must not go on twice. This is
# also what ends the workers of local.yaml after `ray down`, which stops the head alone.
export RAY_grpc_client_keepalive_timeout_ms=20000 RAY_gcs_rpc_server_reconnect_timeout_s=20
if [ -d ~/rlx2-venv ]; then
    export PATH="$HOME/rlx2-venv/bin:$PATH"
fi
