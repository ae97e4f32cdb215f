{{/*
A job that does its work once and may be done again. It is no hook, so neither `--wait` nor a GitOps controller can wait for it in vain: what
needs its outcome waits by itself. A job cannot be changed, so its name carries the hash of its pod.
*/}}
{{- define "celeriac.job" -}}
{{- $pod := include "celeriac.pod" . }}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "celeriac.metadata" (merge (dict "name" (printf "%s-%s" .component (sha256sum $pod | trunc 8))) .) | nindent 2 }}
spec:
  backoffLimit: 10
  template:
    {{- $pod | nindent 4 }}
{{- end }}
