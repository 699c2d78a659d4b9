{{- define "ftp-helper.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* For what belongs to no namespace: a release of this name may be in each. */}}
{{- define "ftp-helper.cluster" -}}
{{- if eq .Release.Namespace (include "ftp-helper.name" .) -}}
{{- include "ftp-helper.name" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "ftp-helper.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "ftp-helper.selector" -}}
app.kubernetes.io/name: ftp-helper
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "ftp-helper.labels" -}}
{{ include "ftp-helper.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ftp-helper.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the agent serves metrics and probes. */}}
{{- define "ftp-helper.listen" -}}
{{- with .Values.metrics -}}
{{- if eq .address "ipv6" -}}
[$(HOST_IP)]:{{ int .port }}
{{- else if eq .address "ipv4" -}}
$(HOST_IP):{{ int .port }}
{{- else -}}
127.0.0.1:{{ int .port }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The request of a probe; without a host the kubelet asks at the node's address. */}}
{{- define "ftp-helper.probe" -}}
httpGet:
  {{- if eq .root.Values.metrics.address "loopback" }}
  host: 127.0.0.1
  {{- end }}
  port: metrics
  path: {{ .path }}
{{- end -}}
