{{/*
Conditions of burn rates over several windows. Source: The Site Reliability Workbook, chapter 5.
Arguments: bad and all, rates with WINDOW for their window; objective, in per cent; windows, a list of long, short, factor and seconds.
An error budget that burns at the factor 1 is used up after 30 days. A few failures do not count.
*/}}
{{- define "celeriac.slo.burns" -}}
{{- $budget := subf 100 .objective | mulf 0.01 -}}
{{- range $number, $window := .windows -}}
{{- $limit := mulf $budget $window.factor -}}
{{- if $number }} or {{ end -}}
(
{{- $.bad | replace "WINDOW" $window.long }} / {{ $.all | replace "WINDOW" $window.long }} > {{ $limit }} and {{ "" -}}
{{- $.bad | replace "WINDOW" $window.short }} / {{ $.all | replace "WINDOW" $window.short }} > {{ $limit }} and {{ "" -}}
{{- $.bad | replace "WINDOW" $window.long }} * {{ $window.seconds }} > 5)
{{- end -}}
{{- end -}}

{{- define "celeriac.slo.fast" -}}
[{long: 1h, short: 5m, factor: 14.4, seconds: 3600}, {long: 6h, short: 30m, factor: 6, seconds: 21600}]
{{- end -}}

{{- define "celeriac.slo.slow" -}}
[{long: 1d, short: 2h, factor: 3, seconds: 86400}, {long: 3d, short: 6h, factor: 1, seconds: 259200}]
{{- end -}}

{{/* Requests that the API answered with a 5xx status. */}}
{{- define "celeriac.slo.requests" -}}
{{- $probes := "route!~\"/livez|/readyz\"" -}}
{{- $bad := printf "sum(rate(celeriac_http_requests_total{status=~\"5..\", %s, OURS}[WINDOW]))" $probes -}}
{{- $all := printf "sum(rate(celeriac_http_requests_total{%s, OURS}[WINDOW]))" $probes -}}
{{- include "celeriac.slo.burns" (dict "bad" $bad "all" $all "objective" .objective "windows" .windows) -}}
{{- end -}}

{{/* Jobs that waited longer in their queue than they may. */}}
{{- define "celeriac.slo.waits" -}}
{{- $le := printf "%.4f" (float64 .seconds) | trimAll "0" -}}
{{- $le = printf "%s%s%s" (ternary "0" "" (hasPrefix "." $le)) $le (ternary "0" "" (hasSuffix "." $le)) -}}
{{- $all := "sum(rate(celeriac_queue_seconds_count{OURS}[WINDOW]))" -}}
{{- $bad := printf "(%s - sum(rate(celeriac_queue_seconds_bucket{le=\"%s\", OURS}[WINDOW])))" $all $le -}}
{{- include "celeriac.slo.burns" (dict "bad" $bad "all" $all "objective" .objective "windows" .windows) -}}
{{- end -}}
