{{/* Core resources, when they are created and changed, in every namespace but those that are exempt. */}}
{{- define "match" -}}
namespaceSelector:
  matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ toJson .exempt }}}
resourceRules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: {{ toJson .resources }}}
{{- end }}
