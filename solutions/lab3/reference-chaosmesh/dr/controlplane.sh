# The control plane: processes that are stopped, and data that are gone.

start_what_is_stopped() {
  local name stopped=()
  for name in "${PARTS[@]}"; do
    [[ $(state_of "$name") == running ]] || stopped+=("$name")
  done
  ((${#stopped[@]} == 0)) && return
  say start "${stopped[*]}"
  control start "${stopped[@]}"
}

recover_control_plane() {
  # Where the data are there, nothing is restored: that would cost what was written since.
  if [[ $(state_of data) == present ]]; then
    start_what_is_stopped
    until_done 40 'the API server' api_ready
    return
  fi
  local backup
  backup=$(newest_backup)
  control stop kube-apiserver etcd
  say restore "$(basename "$backup")"
  # Clients that lived on hold revisions that are not in the backup: theirs must be the past.
  etcdutl snapshot restore "$backup/snapshot.db" --data-dir "$WORK_DIR/data" --name "$ETCD_NAME" \
    --initial-cluster "$ETCD_INITIAL_CLUSTER" \
    --initial-advertise-peer-urls "$ETCD_INITIAL_ADVERTISE_PEER_URLS" \
    --bump-revision 1000000000 --mark-compacted >/dev/null 2>&1 || fail 'the snapshot cannot be restored'
  control replace-data-dir "$WORK_DIR/data"
  control start etcd kube-apiserver
  until_done 60 'the API server' api_ready
  # Their caches are of another history.
  control restart kube-controller-manager kube-scheduler
}
