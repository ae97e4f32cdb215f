{{/* Names and labels: every object's name is made here or of `celeriac.fullname` and its component. */}}

{{- define "celeriac.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "celeriac.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "celeriac.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "celeriac.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects pods, and never changes: (dict "root" $ "component" "worker" "pool" "gpu"). */}}
{{- define "celeriac.selector" -}}
app.kubernetes.io/name: {{ include "celeriac.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
celeriac/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "celeriac.labels" -}}
{{ include "celeriac.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name, namespace, labels and annotations of an object: (dict "root" $ "component" "api" "name" "optional suffix, else the component" "extraLabels" … "annotations" …). */}}
{{- define "celeriac.metadata" -}}
name: {{ include "celeriac.fullname" .root }}-{{ default .component .name }}
namespace: {{ .root.Release.Namespace }}
{{ include "celeriac.marks" . }}
{{- end }}

{{/* Labels and annotations of an object. */}}
{{- define "celeriac.marks" -}}
labels:
  {{- include "celeriac.labels" . | nindent 2 }}
  {{- with .extraLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mustMergeOverwrite (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A service account: (dict "root" $ "component" "api"), or "all" for the processes that ask the cluster for nothing. */}}
{{- define "celeriac.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "celeriac.fullname" .root }}{{ if ne .component "all" }}-{{ .component }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  {{- include "celeriac.marks" (merge (dict "annotations" .root.Values.serviceAccount.annotations) .) | nindent 2 }}
{{- end }}

{{/* Annotations of an object that `helm uninstall` leaves where it is: (dict "keep" true). */}}
{{- define "celeriac.keep" -}}
{{- if .keep }}{{ dict "helm.sh/resource-policy" "keep" | toJson }}{{ else }}{}{{ end }}
{{- end }}

{{/* (dict "root" $ "own" what a pool has of its own). A digest or tag of all does not belong to a pool's own image. */}}
{{- define "celeriac.image" -}}
{{- $own := default dict .own }}
{{- $from := ternary $own .root.Values.image (not (not (or $own.repository $own.tag $own.digest))) }}
{{- $repository := default .root.Values.image.repository $own.repository }}
{{- if $from.digest }}{{ $repository }}@{{ $from.digest }}{{ else }}{{ $repository }}:{{ default .root.Chart.AppVersion $from.tag }}{{ end }}
{{- end }}

{{- define "celeriac.modelsClaim" -}}
{{- default (printf "%s-models" (include "celeriac.fullname" .)) .Values.models.existingClaim }}
{{- end }}

{{/* The access mode of a volume: (dict "root" $ "volume" .Values.models). */}}
{{- define "celeriac.accessMode" -}}
{{- default (ternary "ReadWriteOnce" "ReadWriteMany" .root.Values.models.oneNode) .volume.accessMode }}
{{- end }}

{{/* The volume of `models.hostPath`; its name is cluster-wide. */}}
{{- define "celeriac.modelsVolume" -}}
{{ .Release.Namespace }}-{{ include "celeriac.fullname" . }}-models
{{- end }}

{{/* The Secret that the job makes, and whether anything needs it. */}}
{{- define "celeriac.madeSecret" -}}
{{ include "celeriac.fullname" . }}-passwords
{{- end }}

{{- define "celeriac.madeKeys" -}}
{{- $keys := list }}
{{- if and .Values.redis.bundled.enabled (not .Values.redis.bundled.existingSecret) (not .Values.redis.usersSecret) }}{{ $keys = append $keys "redis-password" }}{{ end }}
{{- if and .Values.flower.enabled (not .Values.flower.existingSecret) }}{{ $keys = append $keys "flower-basic-auth" }}{{ end }}
{{- if and (eq .Values.auth.mode "keys") (not .Values.auth.existingSecret) }}{{ $keys = append $keys "keys.yaml" }}{{ end }}
{{- join " " $keys }}
{{- end }}

{{- define "celeriac.keysSecret" -}}
{{- if eq .Values.auth.mode "keys" }}{{ default (include "celeriac.madeSecret" .) .Values.auth.existingSecret }}{{ end }}
{{- end }}

{{/*
The entries of the issuers file, as YAML, or nothing. The first rule that matches a service account is used: those without wildcards come
first, then the longest ones.
*/}}
{{- define "celeriac.issuers" -}}
{{- $issuers := list }}
{{- range $name, $issuer := .Values.auth.issuers }}
{{- $issuers = append $issuers (merge (dict "name" $name) $issuer) }}
{{- end }}
{{- with .Values.auth.serviceAccounts }}
{{- if .enabled }}
{{- $roles := .roles | default (dict (printf "%s:*" $.Release.Namespace) "user") }}
{{- $ranked := list }}
{{- range $account := keys $roles }}
{{- $ranked = append $ranked (printf "%03d %s" (int (ternary (sub 999 (len $account)) 0 (regexMatch "[*?]" $account))) $account) }}
{{- end }}
{{- $rules := list }}
{{- range sortAlpha $ranked }}
{{- $account := regexReplaceAll "^[0-9]+ " . "" }}
{{- $rules = append $rules (dict "value" (printf "system:serviceaccount:%s" $account) "role" (get $roles $account)) }}
{{- end }}
{{- $cluster := dict "name" "cluster" "type" "serviceaccount" "audiences" (list .audience) "owner_prefix" "" "roles" $rules }}
{{- $issuers = append $issuers (merge $cluster (dict "ca_file" "/cluster/ca.crt" "token_file" "/cluster/token")) }}
{{- end }}
{{- end }}
{{- with $issuers }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The API key of a process that calls the API. A Secret of the user may lack it: then the API refuses the process. */}}
{{- define "celeriac.apiKey" -}}
{{- with include "celeriac.keysSecret" . }}
- name: CELERIAC_API_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: api-key{{ if $.Values.auth.existingSecret }}, optional: true{{ end }}}}
{{- end }}
{{- end }}

{{/* What an uninstalled release leaves, as kubectl names it. */}}
{{- define "celeriac.kept" -}}
{{- $v := .Values }}
{{- $name := include "celeriac.fullname" . }}
{{- $kept := list }}
{{- if include "celeriac.madeKeys" . }}{{ $kept = append $kept (printf "secret/%s" (include "celeriac.madeSecret" .)) }}{{ end }}
{{- if and $v.models.keep (not (or $v.models.existingClaim $v.bucket.url)) }}{{ $kept = append $kept (printf "pvc/%s-models" $name) }}{{ end }}
{{- if and $v.models.keep $v.models.hostPath }}{{ $kept = append $kept (printf "pv/%s" (include "celeriac.modelsVolume" .)) }}{{ end }}
{{- if and $v.shared.enabled $v.shared.keep (not $v.shared.existingClaim) }}{{ $kept = append $kept (printf "pvc/%s-shared" $name) }}{{ end }}
{{- if and $v.redis.bundled.enabled $v.redis.bundled.persistence.enabled }}{{ $kept = append $kept (printf "pvc/data-%s-redis-0" $name) }}{{ end }}
{{- join " " $kept }}
{{- end }}

{{- define "celeriac.flowerSecret" -}}
{{- default (include "celeriac.madeSecret" .) .Values.flower.existingSecret }}
{{- end }}

{{/* What selects a release's workers, in one line. */}}
{{- define "celeriac.workers" -}}
{{- $labels := list }}
{{- range $label, $value := include "celeriac.selector" (dict "root" . "component" "worker") | fromYaml }}
{{- $labels = append $labels (printf "%s=%s" $label $value) }}
{{- end }}
{{- join "," $labels }}
{{- end }}

{{/* The pools that are on, each completed by `poolDefaults`, as YAML: fromYaml gives the map. */}}
{{- define "celeriac.pools" -}}
{{- range $name, $given := .Values.pools }}
{{- $pool := mustMergeOverwrite (deepCopy $.Values.poolDefaults) (default dict $given) }}
{{- if $pool.enabled }}
{{ $name }}: {{ toJson $pool }}
{{- end }}
{{- end }}
{{- end }}

{{/* The price of a process of each pool that has one, as `price_per_hour` takes it. */}}
{{- define "celeriac.prices" -}}
{{- $prices := list }}
{{- range $name, $pool := include "celeriac.pools" . | fromYaml }}
{{- if $pool.pricePerHour }}{{ $prices = append $prices (printf "%s=%v" $name $pool.pricePerHour) }}{{ end }}
{{- end }}
{{- join "," $prices }}
{{- end }}

{{/* A duration as seconds: "500ms" is 0.5, "5s" and 5 are 5, "10m" is 600. Empty if it is. */}}
{{- define "celeriac.seconds" -}}
{{- with include "celeriac.text" . }}
{{- $unit := regexFind "[a-z]*$" . }}
{{- mulf (trimSuffix $unit . | float64) (get (dict "" 1.0 "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit) }}
{{- end }}
{{- end }}

{{/* A duration of each pool, as a setting of the API: (dict "root" $ "value" "slo") gives `default=5,gpu=30`. */}}
{{- define "celeriac.pools.seconds" -}}
{{- $listed := list }}
{{- range $name, $pool := include "celeriac.pools" .root | fromYaml }}
{{- with include "celeriac.seconds" (get $pool $.value) }}{{ $listed = append $listed (printf "%s=%s" $name .) }}{{ end }}
{{- end }}
{{- join "," $listed }}
{{- end }}

{{/* `rollingUpdate` of a Deployment: (dict "rollout" … "surge" 1). What is empty follows from the other, for both cannot be 0. */}}
{{- define "celeriac.rollout" -}}
{{- $surge := ternary .surge .rollout.maxSurge (eq (toString .rollout.maxSurge) "") }}
{{- $unavailable := .rollout.maxUnavailable }}
{{- if eq (toString $unavailable) "" }}{{ $unavailable = ternary 1 0 (has (toString $surge) (list "0" "0%")) }}{{ end -}}
rollingUpdate: {maxUnavailable: {{ include "celeriac.text" $unavailable }}, maxSurge: {{ include "celeriac.text" $surge }}}
{{- end }}

{{- define "celeriac.grace" -}}
{{- if .graceSeconds }}{{ int .graceSeconds }}{{ else }}{{ add .timeLimitSeconds 30 }}{{ end }}
{{- end }}

{{/* What a stopping API needs at least. */}}
{{- define "celeriac.api.grace" -}}
{{- add (mul 6 .Values.api.lingerSeconds) .Values.api.drainSeconds 15 }}
{{- end }}
