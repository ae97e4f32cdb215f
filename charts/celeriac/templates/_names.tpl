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
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name, namespace and labels of an object: (dict "root" $ "component" "api" "name" "optional suffix, else the component"). */}}
{{- define "celeriac.metadata" -}}
name: {{ include "celeriac.fullname" .root }}-{{ default .component .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "celeriac.labels" . | nindent 2 }}
  {{- with .extraLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
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

{{/* The Secret that the job makes, and whether anything needs it. */}}
{{- define "celeriac.madeSecret" -}}
{{ include "celeriac.fullname" . }}-passwords
{{- end }}

{{- define "celeriac.madeKeys" -}}
{{- $keys := list }}
{{- if and .Values.redis.bundled.enabled (not .Values.redis.bundled.existingSecret) (not .Values.redis.usersSecret) }}{{ $keys = append $keys "redis-password" }}{{ end }}
{{- if and .Values.flower.enabled (not .Values.flower.existingSecret) }}{{ $keys = append $keys "flower-basic-auth" }}{{ end }}
{{- join " " $keys }}
{{- end }}

{{/* What an uninstalled release leaves, as kubectl names it. */}}
{{- define "celeriac.kept" -}}
{{- $v := .Values }}
{{- $name := include "celeriac.fullname" . }}
{{- $kept := list }}
{{- if include "celeriac.madeKeys" . }}{{ $kept = append $kept (printf "secret/%s" (include "celeriac.madeSecret" .)) }}{{ end }}
{{- if and $v.models.keep (not $v.models.existingClaim) }}{{ $kept = append $kept (printf "pvc/%s-models" $name) }}{{ end }}
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

{{- define "celeriac.grace" -}}
{{- if .graceSeconds }}{{ int .graceSeconds }}{{ else }}{{ add .timeLimitSeconds 30 }}{{ end }}
{{- end }}

{{/* What a stopping API needs at least. */}}
{{- define "celeriac.api.grace" -}}
{{- add (mul 4 .Values.api.lingerSeconds) .Values.api.drainSeconds 15 }}
{{- end }}
