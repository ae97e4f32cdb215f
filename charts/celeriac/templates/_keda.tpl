{{/* The trigger of a pool with an `slo`: (dict "root" $ "pool" "gpu"). */}}
{{- define "celeriac.keda.wanted" -}}
- name: slo
  type: metrics-api
  metadata:
    url: {{ printf "http://%s-api.%s.svc:%d/v1/pools/%s/wanted" (include "celeriac.fullname" .root) .root.Release.Namespace (int .root.Values.api.service.port) .pool | quote }}
    valueLocation: wanted
    targetValue: "1"
    {{- if include "celeriac.keysSecret" .root }}
    authMode: bearer
  authenticationRef:
    name: {{ include "celeriac.fullname" .root }}-api
    {{- end }}
{{- end }}
