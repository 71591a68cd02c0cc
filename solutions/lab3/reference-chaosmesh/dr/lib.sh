# What backup, restore and verify share. Sourced by each: bash, kubectl, the clients of etcd, and no more.
set -euo pipefail

CRD=models.registry.mod201.dev
MODELS=models.registry.mod201.dev
WORKLOAD=serviceaccounts,secrets,roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io,services,poddisruptionbudgets.policy,deployments.apps
# Probes belong to nobody, and these two are made anew by the cluster.
KEPT=(-n serving -l '!mod201.dev/probe' --field-selector 'metadata.name!=kube-root-ca.crt,metadata.name!=default')
PARTS=(etcd kube-apiserver kube-controller-manager kube-scheduler)

say() { printf '{"event": "%s", "step": "%s", "at": %s}\n' "$1" "$2" "$(date +%s.%N)"; }
fail() { say failed "$1"; echo "$1" >&2; exit 1; }

# until SECONDS WHAT COMMAND…: run a command until it succeeds.
until_done() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what did not come in time"
    sleep 0.2
  done
}

api_ready() { kubectl get --raw /readyz --request-timeout=2s; }
control() { "$CLUSTER_CTL" "$@" >/dev/null || fail "CLUSTER_CTL $* failed"; }
state_of() { "$CLUSTER_CTL" status | awk -v name="$1" '$1 == name {print $2}'; }

# The newest backup whose digests hold: names and times of folders say nothing.
newest_backup() {
  local folder newest='' at=0
  for folder in "$BACKUP_DIR"/*/; do
    (cd "$folder" 2>/dev/null && [[ -s SHA256SUMS && -s CREATED ]] && sha256sum --status -c SHA256SUMS) || continue
    [[ $(wc -l <"$folder/SHA256SUMS") -eq 6 ]] || continue
    if [[ $(cat "$folder/CREATED") > $at ]]; then
      at=$(cat "$folder/CREATED") newest=$folder
    fi
  done
  [[ $newest ]] || fail 'there is no backup whose digests hold'
  printf '%s\n' "$newest"
}

# Objects as kubectl lists them, without what the server makes: they can be applied again.
written() {
  awk '
    /^- / { section = "" }
    /^(- |  )[A-Za-z]/ { section = ($1 == "-") ? $2 : $1 }
    section == "metadata:" && /^    (uid|resourceVersion|creationTimestamp|generation|selfLink|deletion[A-Za-z]*): / { next }
    section == "metadata:" && /^    finalizers:/ { skipping = 1; next }
    skipping && /^    - / { next }
    { skipping = 0; print }
  ' "$@"
}

# One line an object: kind, name, and all that somebody wrote into it.
contents() {
  awk '
    function done() { if (name) print kind, name, text; name = kind = text = "" }
    /^[a-z]/ { done(); next }
    /^- / { done(); section = "" }
    /^(- |  )[A-Za-z]/ { section = ($1 == "-") ? $2 : $1 }
    /^  kind: / { kind = $2 }
    section == "metadata:" && /^    name: / { name = $2 }
    section != "metadata:" && section != "status:" { text = text "|" $0 }
    END { done() }
  ' "$@" | sort
}

ready_addresses() {
  kubectl -n serving get endpointslices.discovery.k8s.io -l kubernetes.io/service-name=predictor -o go-template='{{range .items}}{{range .endpoints}}{{if .conditions.ready}}{{range .addresses}}{{println .}}{{end}}{{end}}{{end}}{{end}}' | grep -c . || true
}

serves() {
  local replicas
  replicas=$(kubectl -n serving get deployment predictor -o 'jsonpath={.spec.replicas}') || return 1
  (($(ready_addresses) >= (replicas > 2 ? replicas : 2)))
}
