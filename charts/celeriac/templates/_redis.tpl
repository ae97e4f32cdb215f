{{/* Where Redis is, for the processes (a URL) and for KEDA (an address). The password is never in a template: Kubernetes puts it in. */}}

{{- define "celeriac.redis.host" -}}
{{ include "celeriac.fullname" . }}-redis.{{ .Release.Namespace }}.svc
{{- end }}

{{/* What the keys begin with, without the colon that the application adds. Two releases in an external Redis have different ones. */}}
{{- define "celeriac.prefix" -}}
{{- if .Values.redis.keyPrefix }}
{{- trimSuffix ":" .Values.redis.keyPrefix }}
{{- else if .Values.redis.bundled.enabled }}
{{- "celeriac" }}
{{- else }}
{{- $name := printf "%s.%s" .Release.Namespace (include "celeriac.fullname" .) }}
{{- ternary $name (printf "%s-%s" (trunc 54 $name) (sha256sum $name | trunc 8)) (le (len $name) 63) }}
{{- end }}
{{- end }}

{{/* The parts of the URL as JSON: scheme, user, hosts, rest. */}}
{{- define "celeriac.redis.parts" -}}
{{- $url := ternary (printf "redis://%s:6379/0" (include "celeriac.redis.host" .)) .Values.redis.external.url .Values.redis.bundled.enabled }}
{{- $scheme := regexFind "^[a-z]+" $url }}
{{- $after := trimPrefix (printf "%s://" $scheme) $url }}
{{- $authority := regexFind "^[^/?]*" $after }}
{{- $user := "" }}
{{- if contains "@" $authority }}{{ $user = regexReplaceAll "@.*$" $authority "" }}{{ end }}
{{- dict "scheme" $scheme "user" $user "hosts" (regexReplaceAll "^.*@" $authority "") "rest" (trimPrefix $authority $after) | toJson }}
{{- end }}

{{/* User, Secret and key of the password of a component as JSON; no secret where Redis asks for no password. (dict "root" $ "component" "api") */}}
{{- define "celeriac.redis.login" -}}
{{- $v := .root.Values.redis }}
{{- $login := dict "user" "" "secret" (default (include "celeriac.madeSecret" .root) $v.bundled.existingSecret) "key" "redis-password" }}
{{- if $v.usersSecret }}
{{- $user := default .component .login }}
{{- $login = dict "user" $user "secret" $v.usersSecret "key" $user }}
{{- else if not $v.bundled.enabled }}
{{- $login = dict "user" (include "celeriac.redis.parts" .root | fromJson).user "secret" $v.external.existingSecret "key" $v.external.passwordKey }}
{{- end }}
{{- toJson $login }}
{{- end }}

{{/* The same of KEDA, which may have a user of its own. */}}
{{- define "celeriac.keda.login" -}}
{{- $login := include "celeriac.redis.login" (dict "root" . "component" "keda") | fromJson }}
{{- with .Values.keda.redisUser }}{{ $_ := set $login "user" . }}{{ end }}
{{- with .Values.keda.redisSecret }}{{ $_ := set $login "secret" . }}{{ $_ := set $login "key" "redis-password" }}{{ end }}
{{- toJson $login }}
{{- end }}

{{- define "celeriac.redis.url" -}}
{{- $login := include "celeriac.redis.login" . | fromJson }}
{{- $auth := $login.user }}
{{- if $login.secret }}{{ $auth = printf "%s:$(REDIS_PASSWORD)" $auth }}{{ end }}
{{- with $auth }}{{ $auth = printf "%s@" . }}{{ end }}
{{- $parts := include "celeriac.redis.parts" .root | fromJson }}
{{- printf "%s://%s%s%s" $parts.scheme $auth $parts.hosts $parts.rest }}
{{- end }}

{{/* What a process needs to find Redis: (dict "root" $ "component" "api"). */}}
{{- define "celeriac.redis.env" -}}
{{- $external := .root.Values.redis.external }}
{{- if and (not .root.Values.redis.bundled.enabled) $external.urlKey }}
- name: CELERIAC_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $external.existingSecret }}, key: {{ $external.urlKey }}}}
{{- else }}
{{- $login := include "celeriac.redis.login" . | fromJson }}
{{- if $login.secret }}
- name: REDIS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $login.secret }}, key: {{ $login.key }}}}
{{- end }}
- name: CELERIAC_REDIS_URL
  value: {{ include "celeriac.redis.url" . | quote }}
{{- end }}
{{- with $external.caSecret }}
- name: CELERIAC_REDIS_CA
  value: /redis-ca/ca.crt
{{- end }}
{{- with $external.sentinelUser }}
- name: CELERIAC_REDIS_SENTINEL_USER
  value: {{ . | quote }}
{{- end }}
{{- with $external.sentinelSecret }}
- name: CELERIAC_REDIS_SENTINEL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ . }}, key: sentinel-password}}
{{- end }}
{{- end }}

{{/* The Secrets that KEDA reads, as the list of a TriggerAuthentication; empty where Redis asks for nothing. */}}
{{- define "celeriac.keda.secrets" -}}
{{- $login := include "celeriac.keda.login" . | fromJson }}
{{- with $login.secret }}
- {parameter: password, name: {{ . }}, key: {{ $login.key }}}
{{- end }}
{{- with .Values.redis.external.sentinelSecret }}
- {parameter: sentinelPassword, name: {{ . }}, key: sentinel-password}
{{- end }}
{{- with .Values.redis.external.caSecret }}
- {parameter: ca, name: {{ . }}, key: ca.crt}
{{- end }}
{{- end }}

{{/* One trigger: (dict "root" $ "name" "bulk" "key" "celeriac:gpu.bulk"). The scaler reads the length of lists and of hashes. */}}
{{- define "celeriac.keda.trigger" -}}
{{- $parts := include "celeriac.redis.parts" .root | fromJson }}
{{- $sentinel := hasPrefix "sentinel" $parts.scheme }}
{{- $path := splitList "/" (trimPrefix "/" $parts.rest) }}
{{- $hosts := list }}
{{- range splitList "," $parts.hosts }}
{{- $hosts = append $hosts (ternary . (printf "%s:%d" . (ternary 26379 6379 $sentinel)) (regexMatch ":[0-9]+$" .)) }}
{{- end }}
- name: {{ .name }}
  type: {{ ternary "redis-sentinel" "redis" $sentinel }}
  metadata:
    {{ ternary "addresses" "address" $sentinel }}: {{ join "," $hosts | quote }}
    {{- if $sentinel }}
    sentinelMaster: {{ first $path | quote }}
    {{- with .root.Values.redis.external.sentinelUser }}
    sentinelUsername: {{ . | quote }}
    {{- end }}
    {{- end }}
    {{- with (include "celeriac.keda.login" .root | fromJson).user }}
    username: {{ . | quote }}
    {{- end }}
    {{- if has $parts.scheme (list "rediss" "sentinels") }}
    enableTLS: "true"
    {{- end }}
    databaseIndex: {{ default "0" (last $path) | quote }}
    listName: {{ .key | quote }}
    listLength: "1"
  {{- if include "celeriac.keda.secrets" .root | trim }}
  authenticationRef:
    name: {{ include "celeriac.fullname" .root }}-redis
  {{- end }}
{{- end }}
