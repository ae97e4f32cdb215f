{{/*
A job that can run again safely. It is not a hook, so neither `--wait` nor a GitOps controller deadlocks on it; pods that
need its result wait for it. Jobs are immutable, so the name carries the hash of the pod.
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
