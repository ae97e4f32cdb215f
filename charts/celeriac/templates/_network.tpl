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
  policyTypes: {{ default "[Ingress, Egress]" .types }}
{{- end }}

{{- define "celeriac.policy.dns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{/* Egress rules of a component's values. */}}
{{- define "celeriac.policy.extra" -}}
{{- range $name, $rule := .extraEgress }}
- {{ toJson $rule }}
{{- end }}
{{- end }}

{{/* The cluster's API: no policy can name it but by its ports. */}}
{{- define "celeriac.policy.cluster" -}}
- ports: [{port: 443}, {port: 6443}]
{{- end }}

{{/* The port of an HTTP address. */}}
{{- define "celeriac.policy.port" -}}
{{- default (ternary "443" "80" (hasPrefix "https:" .)) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .).host)) }}
{{- end }}

{{/* The ports of the issuers: no policy can name a host. */}}
{{- define "celeriac.policy.issuers" -}}
{{- $ports := dict }}
{{- range .Values.auth.issuers }}
{{- range list .issuer .jwks_uri }}
{{- if . }}{{ $_ := set $ports (default "443" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .).host))) true }}{{ end }}
{{- end }}
{{- end }}
{{- with keys $ports | sortAlpha -}}
- ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "celeriac.policy.webhooks" -}}
{{- $cidr := .Values.networkPolicy.webhookCIDR }}
{{- $private := .Values.settings.webhook_allow_private }}
- to:
    - ipBlock:
        cidr: {{ $cidr }}
        {{- if and (eq $cidr "0.0.0.0/0") (not $private) }}
        except: [10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
        {{- end }}
  {{- with .Values.networkPolicy.webhookPort }}
  ports: [{port: {{ . }}}]
  {{- end }}
{{- end }}

{{- define "celeriac.policy.api" -}}
- to: [{podSelector: {matchLabels: {{ include "celeriac.selector" (dict "root" . "component" "api") | fromYaml | toJson }}}}]
  ports: [{port: 8000}]
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
    {{- if hasPrefix "sentinel" .Values.redis.external.url }}
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
