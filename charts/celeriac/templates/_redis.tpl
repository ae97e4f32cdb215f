{{/* Where Redis is, for the processes (a URL) and for KEDA (an address). The password is never in a template: Kubernetes puts it in. */}}

{{- define "celeriac.redis.host" -}}
{{ include "celeriac.fullname" . }}-redis.{{ .Release.Namespace }}.svc
{{- end }}

{{/* The parts of the external URL as JSON: scheme, user, hosts, rest. */}}
{{- define "celeriac.redis.parts" -}}
{{- $url := .Values.redis.external.url }}
{{- $scheme := regexFind "^[a-z]+" $url }}
{{- $after := trimPrefix (printf "%s://" $scheme) $url }}
{{- $authority := regexFind "^[^/?]*" $after }}
{{- $user := "" }}
{{- if contains "@" $authority }}{{ $user = regexReplaceAll "@.*$" $authority "" }}{{ end }}
{{- dict "scheme" $scheme "user" $user "hosts" (regexReplaceAll "^.*@" $authority "") "rest" (trimPrefix $authority $after) | toJson }}
{{- end }}

{{- define "celeriac.redis.secret" -}}
{{- if .Values.redis.bundled.enabled }}
{{- default (include "celeriac.madeSecret" .) .Values.redis.bundled.existingSecret }}
{{- else }}
{{- .Values.redis.external.existingSecret }}
{{- end }}
{{- end }}

{{- define "celeriac.redis.passwordKey" -}}
{{- if .Values.redis.bundled.enabled }}redis-password{{ else }}{{ .Values.redis.external.passwordKey }}{{ end }}
{{- end }}

{{- define "celeriac.redis.url" -}}
{{- if .Values.redis.bundled.enabled -}}
redis://:$(REDIS_PASSWORD)@{{ include "celeriac.redis.host" . }}:6379/0
{{- else }}
{{- $parts := include "celeriac.redis.parts" . | fromJson }}
{{- $auth := $parts.user }}
{{- if .Values.redis.external.existingSecret }}{{ $auth = printf "%s:$(REDIS_PASSWORD)" $auth }}{{ end }}
{{- $url := printf "%s://%s%s%s" $parts.scheme (ternary (printf "%s@" $auth) "" (ne $auth "")) $parts.hosts $parts.rest }}
{{- $url }}
{{- end }}
{{- end }}

{{- define "celeriac.redis.env" -}}
{{- $external := and (not .Values.redis.bundled.enabled) .Values.redis.external }}
{{- if and $external $external.urlKey }}
- name: CELERIAC_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $external.existingSecret }}, key: {{ $external.urlKey }}}}
{{- else }}
{{- if include "celeriac.redis.secret" . }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "celeriac.redis.secret" . }}, key: {{ include "celeriac.redis.passwordKey" . }}}}
{{- end }}
- name: CELERIAC_REDIS_URL
  value: {{ include "celeriac.redis.url" . | quote }}
{{- end }}
{{- if and $external $external.caSecret }}
- name: CELERIAC_REDIS_CA
  value: /redis-ca/ca.crt
{{- end }}
{{- end }}

{{/* The Secret and the key that KEDA reads the password from; empty where Redis asks for none. */}}
{{- define "celeriac.keda.secret" -}}
{{- default (include "celeriac.redis.secret" .) .Values.keda.redisSecret }}
{{- end }}

{{/* One trigger: (dict "root" $ "name" "bulk" "key" "celeriac:gpu.bulk"). The scaler reads the length of lists and of hashes. */}}
{{- define "celeriac.keda.trigger" -}}
{{- $root := .root }}
{{- $parts := dict "scheme" "redis" "user" "" "hosts" (printf "%s:6379" (include "celeriac.redis.host" $root)) "rest" "/0" }}
{{- if not $root.Values.redis.bundled.enabled }}{{ $parts = include "celeriac.redis.parts" $root | fromJson }}{{ end }}
{{- $user := default $parts.user $root.Values.keda.redisUser }}
{{- $database := default "0" (regexFind "[0-9]+$" (regexReplaceAll "\\?.*$" $parts.rest "")) }}
- name: {{ .name }}
  type: {{ ternary "redis-sentinel" "redis" (eq $parts.scheme "sentinel") }}
  metadata:
    {{ ternary "addresses" "address" (eq $parts.scheme "sentinel") }}: {{ $parts.hosts | replace ";" "," | quote }}
    {{- if eq $parts.scheme "sentinel" }}
    sentinelMaster: {{ $root.Values.redis.external.sentinelMaster | quote }}
    {{- end }}
    {{- with $user }}
    username: {{ . | quote }}
    {{- end }}
    {{- if eq $parts.scheme "rediss" }}
    enableTLS: "true"
    {{- end }}
    databaseIndex: {{ $database | quote }}
    listName: {{ .key | quote }}
    listLength: "1"
  {{- if or (include "celeriac.keda.secret" $root) $root.Values.redis.external.caSecret }}
  authenticationRef:
    name: {{ include "celeriac.fullname" $root }}-redis
  {{- end }}
{{- end }}
