{{/*
The one pod template: every process of ours is made of it.

  root        $
  component   api | worker | beat | flower | …
  pool        the worker's pool, or nothing
  args        list: what follows `python -m app`
  command     list: instead of the image's entry point, or nothing
  values      the component's values: resources, env, nodeSelector, extraVolumes, …
  settings    dict of settings that the chart decides for this process
  env         YAML of further environment, or nothing
  redis       true: it talks to Redis
  login       the Redis user where each process has its own, else the component
  models      ro | rw, or nothing where the models are not mounted
  shared      true: it reads and writes files, and large inputs and results
  keys        Secret with the file of API keys, or nothing
  issuers     ConfigMap with the file of issuers, or nothing
  consoleOidc Secret with the client secret of the console, or nothing
  cluster     true: it reads the keys of the cluster's own service accounts
  port        number, or nothing
  probes      YAML of the probes, or nothing
  grace       seconds
  account     service account that needs its token, or nothing
  restart     restart policy of a job's pod, or nothing
*/}}
{{- define "celeriac.pod" -}}
{{- $root := .root }}
{{- $v := .values }}
{{- $settings := mustMergeOverwrite (deepCopy $root.Values.settings) (deepCopy (default dict $v.settings)) (default dict .settings) }}
metadata:
  labels:
    {{- include "celeriac.labels" . | nindent 4 }}
    {{- if .models }}
    celeriac/models: {{ include "celeriac.modelsClaim" $root }}
    {{- end }}
    {{- with $v.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .account }}
  serviceAccountName: {{ .account }}
  {{- else }}
  serviceAccountName: {{ include "celeriac.fullname" $root }}
  automountServiceAccountToken: false
  {{- end }}
  enableServiceLinks: false
  {{- with include "celeriac.pullSecrets" $root | trim }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ default 30 .grace }}
  securityContext:
    {{- include "celeriac.podSecurity" $root.Values.podSecurityContext | nindent 4 }}
  {{- with include "celeriac.containers" $v.initContainers | trim }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "celeriac.image" (dict "root" $root "own" $v.image) | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      {{- with .args }}
      args: {{ toJson . }}
      {{- end }}
      {{- with .port }}
      ports:
        - name: http
          containerPort: {{ . }}
      {{- end }}
      {{- with include "celeriac.env" (merge (dict "settings" $settings) .) | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- $credentials := and (or .models .shared) $root.Values.bucket.url $root.Values.bucket.existingSecret }}
      {{- if or $credentials $v.extraEnvFrom }}
      envFrom:
        {{- with $credentials }}
        - {secretRef: {name: {{ . }}}}
        {{- end }}
        {{- range $v.extraEnvFrom }}
        - {{ toJson . }}
        {{- end }}
      {{- end }}
      {{- with .probes }}
      {{- . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml $v.resources | nindent 8 }}
      securityContext:
        {{- include "celeriac.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - {name: state, mountPath: /state}
        {{- if .models }}
        - {name: models, mountPath: /models, readOnly: {{ and (eq .models "ro") (not $root.Values.bucket.url) }}}
        {{- end }}
        {{- if and .shared $root.Values.shared.enabled }}
        - {name: shared, mountPath: /shared}
        {{- end }}
        {{- if and .redis $root.Values.redis.external.caSecret }}
        - {name: redis-ca, mountPath: /redis-ca, readOnly: true}
        {{- end }}
        {{- if .keys }}
        - {name: keys, mountPath: /keys, readOnly: true}
        {{- end }}
        {{- if .issuers }}
        - {name: issuers, mountPath: /issuers, readOnly: true}
        {{- end }}
        {{- if .consoleOidc }}
        - {name: console-oidc, mountPath: /console-oidc, readOnly: true}
        {{- end }}
        {{- if .cluster }}
        - {name: cluster, mountPath: /cluster, readOnly: true}
        {{- end }}
        {{- include "celeriac.extraMounts" $v | nindent 8 }}
    {{- include "celeriac.containers" $v.sidecars | nindent 4 }}
  volumes:
    - name: state
      emptyDir: {sizeLimit: 1Gi}
    {{- if .models }}
    - name: models
      {{- if $root.Values.bucket.url }}
      emptyDir: {sizeLimit: {{ $root.Values.bucket.cacheSize }}}
      {{- else }}
      persistentVolumeClaim: {claimName: {{ include "celeriac.modelsClaim" $root }}}
      {{- end }}
    {{- end }}
    {{- if and .shared $root.Values.shared.enabled }}
    - name: shared
      persistentVolumeClaim: {claimName: {{ default (printf "%s-shared" (include "celeriac.fullname" $root)) $root.Values.shared.existingClaim }}}
    {{- end }}
    {{- if and .redis $root.Values.redis.external.caSecret }}
    - name: redis-ca
      secret: {secretName: {{ $root.Values.redis.external.caSecret }}}
    {{- end }}
    {{- with .keys }}
    - name: keys
      secret: {secretName: {{ . }}, items: [{key: keys.yaml, path: keys.yaml}]}
    {{- end }}
    {{- with .issuers }}
    - name: issuers
      configMap: {name: {{ . }}, items: [{key: issuers.yaml, path: issuers.yaml}]}
    {{- end }}
    {{- with .consoleOidc }}
    - name: console-oidc
      secret: {secretName: {{ . }}, items: [{key: client-secret, path: client-secret}]}
    {{- end }}
    {{- if .cluster }}
    - name: cluster
      projected:
        sources:
          - serviceAccountToken: {path: token, expirationSeconds: 3600}
          - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    {{- end }}
    {{- include "celeriac.extraVolumes" $v | nindent 4 }}
  {{- include "celeriac.placement" . | nindent 2 }}
{{- end }}

{{/* The environment of a process: what the chart decides, then what the values add. */}}
{{- define "celeriac.env" -}}
{{- $ours := include "celeriac.env.ours" . }}
{{- $ours }}
{{- range $name, $value := .values.env }}
{{- if contains (printf "- name: %s\n" $name) $ours }}
{{- $of := ternary (printf "pools.%s" (default "" $.pool)) $.component (eq $.component "worker") }}
{{- fail (printf "%s.env.%s is set already, by the chart or by settings: leave it out, and change the value that it comes from." $of $name) }}
{{- end }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  valueFrom: {secretKeyRef: {name: {{ $value.secret }}, key: {{ $value.key }}}}
  {{- else }}
  value: {{ include "celeriac.text" $value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* In this order, for a variable may use those before it: Redis, settings, what a process has beside them. */}}
{{- define "celeriac.env.ours" -}}
{{- if .redis }}
{{- include "celeriac.redis.env" . }}
- name: CELERIAC_KEY_PREFIX
  value: {{ include "celeriac.prefix" .root | quote }}
- name: CELERIAC_RELEASE
  value: {{ printf "%s/%s" .root.Release.Namespace .root.Release.Name | quote }}
{{- if .root.Values.redis.keyPrefixTakeover }}
- name: CELERIAC_KEY_PREFIX_TAKEOVER
  value: "true"
{{- end }}
{{- end }}
{{- if .root.Values.bucket.url }}
{{- include "celeriac.bucket.env" (dict "bucket" .root.Values.bucket "models" .models "shared" .shared) }}
{{- else if and .shared .root.Values.shared.enabled }}
- name: CELERIAC_BLOBS
  value: /shared/blobs
- name: CELERIAC_FILES
  value: /shared/files
{{- end }}
{{- range $name, $value := .settings }}
- name: CELERIAC_{{ upper $name }}
  value: {{ include "celeriac.text" $value | quote }}
{{- end }}
{{- with .env }}
{{ . }}
{{- end }}
{{- end }}

{{/* Where the bucket is, and the folder for downloaded models. */}}
{{- define "celeriac.bucket.env" -}}
{{- $url := trimSuffix "/" .bucket.url }}
{{- if .models }}
- name: CELERIAC_MODELS
  value: {{ printf "%s/models" $url | quote }}
- name: CELERIAC_MODEL_CACHE
  value: /models
- name: CELERIAC_MODEL_CACHE_BYTES
  value: {{ div (mul (include "celeriac.bytes" .bucket.cacheSize | int64) 4) 5 | quote }}
{{- end }}
{{- if .shared }}
- name: CELERIAC_BLOBS
  value: {{ printf "%s/blobs" $url | quote }}
- name: CELERIAC_FILES
  value: {{ printf "%s/files" $url | quote }}
{{- end }}
{{- if or .models .shared }}
{{- with .bucket.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .bucket.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- if .bucket.virtualHostedStyle }}
- name: AWS_VIRTUAL_HOSTED_STYLE_REQUEST
  value: "true"
{{- end }}
{{- end }}
{{- end }}

{{- define "celeriac.pullSecrets" -}}
{{- with .Values.image.pullSecret }}
- name: {{ . }}
{{- end }}
{{- range $name, $on := .Values.image.pullSecrets }}
{{- if $on }}
- name: {{ $name }}
{{- end }}
{{- end }}
{{- end }}

{{/* Containers of the values, by name: restricted like ours unless they say otherwise. */}}
{{- define "celeriac.containers" -}}
{{- range $name, $container := . }}
{{- $security := mustMergeOverwrite (include "celeriac.containerSecurity" $ | fromYaml) (default dict $container.securityContext) }}
- {{ toJson (mustMergeOverwrite (deepCopy $container) (dict "name" $name "securityContext" $security)) }}
{{- end }}
{{- end }}

{{- define "celeriac.extraMounts" -}}
{{- range $name, $mount := .extraVolumeMounts }}
- {{ toJson (mustMerge (deepCopy $mount) (dict "name" $name)) }}
{{- end }}
{{- end }}

{{- define "celeriac.extraVolumes" -}}
{{- range $name, $volume := .extraVolumes }}
- {{ toJson (mustMergeOverwrite (deepCopy $volume) (dict "name" $name)) }}
{{- end }}
{{- end }}

{{- define "celeriac.podSecurity" -}}
runAsNonRoot: true
{{- range $name, $id := . }}
{{- if not (kindIs "invalid" $id) }}
{{ $name }}: {{ int64 $id }}
{{- end }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "celeriac.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where a pod may run: selectors, tolerations, spread over the nodes, all on one node where the models' claim asks for it. */}}
{{- define "celeriac.placement" -}}
{{- $v := .values }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- range $name, $toleration := . }}
  - {{ toJson $toleration }}
  {{- end }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- $affinity := deepCopy (default dict $v.affinity) }}
{{- if and .models .root.Values.models.oneNode }}
{{- $near := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (dict "celeriac/models" (include "celeriac.modelsClaim" .root))) }}
{{- $pods := default dict $affinity.podAffinity }}
{{- $required := append (default list $pods.requiredDuringSchedulingIgnoredDuringExecution) $near }}
{{- $_ := set $affinity "podAffinity" (set $pods "requiredDuringSchedulingIgnoredDuringExecution" $required) }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $ours := dict "matchLabels" (include "celeriac.selector" . | fromYaml) }}
{{- $spread := default dict $v.topologySpreadConstraints }}
{{- if and (not $spread) (not .restart) }}
{{- $spread = dict "nodes" (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") }}
{{- end }}
{{- with $spread }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toJson (mustMerge (deepCopy .) (dict "labelSelector" $ours)) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A value as the environment wants it: no 1.6777216e+07. */}}
{{- define "celeriac.text" -}}
{{- if kindIs "float64" . }}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}

{{/* A probe of our HTTP server: (dict "path" "/livez" "period" 10 "failures" 3). */}}
{{- define "celeriac.probe" -}}
{httpGet: {path: {{ .path }}, port: http}, periodSeconds: {{ .period }}, timeoutSeconds: {{ default 3 .timeout }}, failureThreshold: {{ .failures }}}
{{- end }}
