{{/* How traffic comes in: (dict "root" $ "component" "api" "values" .Values.api "port" 8000 "path" "/"). */}}

{{- define "celeriac.ingress" -}}
{{- $in := .values.ingress }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "celeriac.metadata" (merge (dict "annotations" $in.annotations) .) | nindent 2 }}
spec:
  {{- with $in.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $in.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts: [{{ $in.host | quote }}]
  {{- end }}
  rules:
    - host: {{ $in.host | quote }}
      http:
        paths:
          - path: {{ .path }}
            pathType: Prefix
            backend:
              service:
                name: {{ include "celeriac.fullname" .root }}-{{ .component }}
                port: {number: {{ .port }}}
{{- end }}

{{- define "celeriac.route" -}}
{{- $route := .values.route }}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "celeriac.metadata" . | nindent 2 }}
spec:
  parentRefs:
    - name: {{ $route.gateway }}
      namespace: {{ default .root.Release.Namespace $route.gatewayNamespace }}
  {{- with $route.host }}
  hostnames: [{{ . | quote }}]
  {{- end }}
  rules:
    - matches:
        - path: {type: PathPrefix, value: {{ .path }}}
      backendRefs:
        - name: {{ include "celeriac.fullname" .root }}-{{ .component }}
          port: {{ .port }}
{{- end }}
