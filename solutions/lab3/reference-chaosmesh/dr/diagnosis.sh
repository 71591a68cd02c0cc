# Nobody says what happened: look, mend the least that explains it, and never restore over data.

recover_from_what_is_seen() {
  recover_control_plane
  disarm
  if [[ -z $(kubectl get namespace serving --ignore-not-found -o name) ||
    -z $(kubectl get customresourcedefinition "$CRD" --ignore-not-found -o name) ]]; then
    recover_namespace
  fi
  admission
}

# Where etcd refuses writes for want of space: compact, defragment, take the alarm back.
disarm() {
  local revision
  [[ $(etcdctl alarm list) == *NOSPACE* ]] || return 0
  say mend NOSPACE
  revision=$(etcdctl endpoint status -w json | grep -o '"revision":[0-9]*' | head -n 1 | cut -d : -f 2)
  etcdctl compaction "$revision" >/dev/null
  etcdctl defrag >/dev/null
  etcdctl alarm disarm >/dev/null
}

# Try a pod; a webhook that does not answer, and keeps it out, goes.
admission() {
  local said hook
  said=$(kubectl -n serving run dr-canary --image=canary --dry-run=server 2>&1) && return
  hook=$(grep -o 'webhook "[^"]*"' <<<"$said" | head -n 1 | cut -d '"' -f 2)
  [[ $hook ]] || return 0
  kubectl get validatingwebhookconfigurations -o go-template='{{range .items}}{{$name := .metadata.name}}{{range .webhooks}}{{println $name .name}}{{end}}{{end}}' |
    awk -v hook="$hook" '$2 == hook {print $1}' |
    while read -r name; do
      say mend "webhook $name"
      kubectl delete validatingwebhookconfiguration "$name" >/dev/null
    done
}
