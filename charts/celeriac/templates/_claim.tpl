{{/* A claim of the chart: (dict "root" $ "component" "models" "volume" .Values.models). A claim that exists keeps its storage class if the values name none. */}}
{{- define "celeriac.claim" -}}
{{- $name := printf "%s-%s" (include "celeriac.fullname" .root) .component }}
{{- $present := dict }}
{{- if .root.Values.checkCluster }}{{ $present = lookup "v1" "PersistentVolumeClaim" .root.Release.Namespace $name }}{{ end }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "celeriac.metadata" (merge (dict "annotations" (include "celeriac.keep" .volume | fromJson)) .) | nindent 2 }}
spec:
  accessModes: [{{ include "celeriac.accessMode" . }}]
  {{- if .volume.hostPath }}
  storageClassName: ""
  volumeName: {{ include "celeriac.modelsVolume" .root }}
  {{- else }}
  {{- with coalesce .volume.storageClass (default dict $present.spec).storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  {{- end }}
  resources: {requests: {storage: {{ .volume.size }}}}
{{- end }}
