# The namespace and its CRD, applied again from the export; other namespaces have gone on.

apply() { kubectl apply --server-side --force-conflicts --validate=false "$@" >/dev/null; }

# What is about to go has to be gone: what is created into it is refused.
await_end() {
  local going
  going=$(kubectl get "$1" --ignore-not-found -o 'jsonpath={.metadata.deletionTimestamp}')
  [[ -z $going ]] || kubectl wait --for=delete "$1" --timeout=60s >/dev/null || fail "$1 does not end"
}

uids_in() {
  awk '
    function done() { if (name) print name, uid; name = "" }
    /^- |^[a-z]/ { done(); section = "" }
    /^(- |  )[A-Za-z]/ { section = ($1 == "-") ? $2 : $1 }
    section == "metadata:" && /^    name: / { name = $2 }
    section == "metadata:" && /^    uid: / { uid = $2 }
    END { done() }
  ' "$1" | sort
}

recover_namespace() {
  local backup export each
  backup=$(newest_backup)
  export=$(mktemp -d)
  for each in workload configmaps models outer; do written "$backup/$each.yaml" >"$export/$each.yaml"; done
  await_end namespace/serving
  await_end "customresourcedefinition/$CRD"
  say create 'namespace and CRD'
  apply -f "$export/outer.yaml"
  apply -f "$export/workload.yaml" &
  local workload=$!
  until_done 20 'the kind Model' kubectl get "$MODELS" -n serving
  # A Model, its status, which is a request of its own, and then what it owns, by the owner's new uid.
  apply -f "$export/models.yaml"
  apply --subresource=status -f "$export/models.yaml" &
  local status=$!
  kubectl get "$MODELS" "${KEPT[@]}" -o yaml >"$export/now.yaml"
  join <(uids_in "$backup/models.yaml") <(uids_in "$export/now.yaml") |
    awk '{print "s/" $2 "/" $3 "/"}' >"$export/uids.sed"
  sed -i -f "$export/uids.sed" "$export/configmaps.yaml"
  apply -f "$export/configmaps.yaml"
  wait "$status"
  wait "$workload"
}
