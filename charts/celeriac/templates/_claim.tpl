{{/*
A claim of the chart: (dict "root" $ "component" "models" "volume" .Values.models). Kubernetes refuses to add or remove the storage class
of a claim, and a rollback does so where one revision names the class and another does not. So each revision does what the first one did:
an annotation of the claim holds the class that it named.
*/}}
{{- define "celeriac.claim" -}}
{{- $name := printf "%s-%s" (include "celeriac.fullname" .root) .component }}
{{- $class := .volume.storageClass }}
{{- if .root.Values.checkCluster }}
{{- with lookup "v1" "PersistentVolumeClaim" .root.Release.Namespace $name }}
{{- $class = get (default dict .metadata.annotations) "celeriac/storage-class" }}
{{- end }}
{{- end }}
{{- $annotations := include "celeriac.keep" .volume | fromJson }}
{{- with $class }}{{ $_ := set $annotations "celeriac/storage-class" . }}{{ end }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "celeriac.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
spec:
  accessModes: [{{ include "celeriac.accessMode" . }}]
  {{- if .volume.hostPath }}
  storageClassName: ""
  volumeName: {{ include "celeriac.modelsVolume" .root }}
  {{- else }}
  {{- with $class }}
  storageClassName: {{ . }}
  {{- end }}
  {{- end }}
  resources: {requests: {storage: {{ .volume.size }}}}
{{- end }}
