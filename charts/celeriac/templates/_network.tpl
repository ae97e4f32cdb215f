{{/* The head of a policy: (dict "root" $ "component" "api"). */}}
{{- define "celeriac.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "celeriac.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "celeriac.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{- define "celeriac.policy.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{- define "celeriac.policy.redis" -}}
{{- if .Values.redis.bundled.enabled }}
- to: [{podSelector: {matchLabels: {{ include "celeriac.selector" (dict "root" . "component" "redis") | fromYaml | toJson }}}}]
  ports: [{port: 6379}]
{{- else }}
- to: [{ipBlock: {cidr: {{ .Values.networkPolicy.redisCIDR }}}}]
  ports:
    {{- range regexFindAll ":[0-9]+" (printf "%s," (include "celeriac.redis.parts" . | fromJson).hosts) -1 | uniq }}
    - port: {{ trimPrefix ":" . }}
    {{- else }}
    - port: 6379
    {{- end }}
    {{- if contains "sentinel:" .Values.redis.external.url }}
    # The master that the sentinels name.
    - port: 6379
    {{- end }}
{{- end }}
{{- end }}

{{/* Who may call in: pods of a namespace, or everyone where none is named. (dict "namespace" … "root" $) */}}
{{- define "celeriac.policy.from" -}}
{{- if .namespace }}
- from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}}
    {{- range .components }}
    - podSelector: {matchLabels: {{ include "celeriac.selector" (dict "root" $.root "component" .) | fromYaml | toJson }}}
    {{- end }}
  ports: [{port: {{ .port }}}]
{{- else }}
- ports: [{port: {{ .port }}}]
{{- end }}
{{- end }}
