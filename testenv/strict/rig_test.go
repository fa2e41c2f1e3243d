package strict

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// object is JSON.
type object = map[string]any

// built is the folder of what tests build.
var built string

// probe builds the module in testdata once for all tests.
var probe = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "probe.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", path, "./testdata/probe")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "probe"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

func probeModule(t testing.TB) string {
	t.Helper()
	path, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// layout is a small rendering: a gateway filter, and backends that a request
// chooses with the property "to".
type layout struct {
	module    string
	backends  map[string]string // name to URL
	gateway   string            // plugin configuration
	noStop    bool              // without allow_on_headers_stop_iteration
	bodyLimit int
	connLimit int
	port      int // of the listener; this host chooses its own
	strip     []string
	secrets   map[string]string // backend to key
	timeout   string            // of the route
	tls       map[string]object // backend to its UpstreamTlsContext
}

func (l layout) wasm(configuration string) object {
	return object{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
		"config": object{
			"name": "probe", "root_id": "probe", "failure_policy": "FAIL_RELOAD",
			"reload_config": object{"backoff": object{"base_interval": "0.01s"}},
			"vm_config": object{
				"vm_id": "probe", "runtime": "envoy.wasm.runtime.v8",
				"code": object{"local": object{"filename": l.module}},
			},
			"allow_on_headers_stop_iteration": !l.noStop,
			"configuration":                   object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
		},
	}
}

func watch(dir, name string) object {
	path := filepath.Join(dir, name)
	return object{
		"path_config_source":   object{"path": path, "watched_directory": object{"path": filepath.Dir(path)}},
		"resource_api_version": "V3",
	}
}

// write puts the files where Start expects them.
func (l layout) write(t testing.TB, dir string) {
	t.Helper()
	if l.gateway == "" {
		l.gateway = "gateway"
	}
	put(t, dir, "bootstrap.json", object{
		"node":  object{"id": "probe", "cluster": "probe"},
		"admin": object{"address": object{"pipe": object{"path": filepath.Join(dir, "admin.sock")}}},
		"dynamic_resources": object{
			"lds_config": watch(dir, "lds/lds.json"),
			"cds_config": watch(dir, "cds/cds.json"),
		},
	})
	listener := object{
		"@type":   "type.googleapis.com/envoy.config.listener.v3.Listener",
		"name":    "probe",
		"address": object{"socket_address": object{"address": "127.0.0.1", "port_value": l.port}},
		"filter_chains": []any{object{"filters": []any{object{
			"name":         "hcm",
			"typed_config": l.manager(dir),
		}}}},
	}
	if l.connLimit > 0 {
		listener["per_connection_buffer_limit_bytes"] = l.connLimit
	}
	put(t, dir, "lds/lds.json", response(listener))
	put(t, dir, "rds/rds.json", response(l.routes()))
	put(t, dir, "ecds/gateway.json", response(object{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name":  "gateway", "typed_config": l.wasm(l.gateway),
	}))
	clusters := []any{l.cluster(t, dir, "closed", "http://127.0.0.1:1")}
	for name, url := range l.backends {
		clusters = append(clusters, l.cluster(t, dir, name, url))
	}
	put(t, dir, "cds/cds.json", response(clusters...))
	for name, key := range l.secrets {
		put(t, dir, "sds/"+name+"/secret.json", response(object{
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
			"name":  name, "generic_secret": object{"secret": object{"inline_string": key}},
		}))
	}
}

func response(resources ...any) object { return object{"resources": resources} }

func put(t testing.TB, dir, name string, content object) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := json.Marshal(content)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l layout) manager(dir string) object {
	return object{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "probe",
		"rds":         object{"route_config_name": "probe", "config_source": watch(dir, "rds/rds.json")},
		"http_filters": []any{
			object{"name": "gateway", "config_discovery": object{
				"config_source": watch(dir, "ecds/gateway.json"),
				"type_urls":     []any{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
			}},
			object{"name": "router", "typed_config": object{
				"@type":                  "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
				"suppress_envoy_headers": true,
			}},
		},
		"use_remote_address":           true,
		"normalize_path":               true,
		"server_header_transformation": "PASS_THROUGH",
		"early_header_mutation_extensions": []any{object{
			"name": "early",
			"typed_config": object{
				"@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
				"mutations": []any{
					object{"remove_on_match": object{"key_matcher": object{"prefix": "x-envoy-"}}},
				},
			},
		}},
	}
}

func (l layout) routes() object {
	clusters := object{}
	for name := range l.backends {
		clusters[name] = clusterChoice(name)
	}
	timeout := l.timeout
	if timeout == "" {
		timeout = "0s"
	}
	route := object{
		"name":                      "all",
		"match":                     object{"prefix": "/"},
		"request_headers_to_remove": []any{"x-removed"},
		"route": object{
			"timeout": timeout,
			"inline_cluster_specifier_plugin": object{"extension": object{
				"name": "matcher",
				"typed_config": object{
					"@type": "type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier",
					"cluster_matcher": object{
						"matcher_tree": object{
							"input": object{"name": "to", "typed_config": object{
								"@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
								"key":   "wasm.to",
							}},
							"exact_match_map": object{"map": clusters},
						},
						"on_no_match": clusterChoice("closed"),
					},
				},
			}},
			"retry_policy": object{
				"retry_on":                 "connect-failure,refused-stream,reset,retriable-status-codes",
				"retriable_status_codes":   []any{429, 503},
				"num_retries":              0,
				"per_try_timeout":          "5s",
				"retry_back_off":           object{"base_interval": "0.001s", "max_interval": "0.001s"},
				"refresh_cluster_on_retry": true,
			},
		},
	}
	if l.bodyLimit > 0 {
		route["request_body_buffer_limit"] = strconv.Itoa(l.bodyLimit)
	}
	return object{
		"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
		"name":  "probe", "validate_clusters": false,
		"virtual_hosts": []any{object{"name": "host", "domains": []any{"*"}, "routes": []any{route}}},
	}
}

func clusterChoice(name string) object {
	return object{"action": object{"name": name, "typed_config": object{
		"@type":   "type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction",
		"cluster": name,
	}}}
}

func (l layout) cluster(t testing.TB, dir, name, url string) object {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	filters := []any{object{"name": "wasm", "typed_config": l.wasm("attempt")}}
	if len(l.strip) > 0 {
		var mutations []any
		for _, header := range l.strip {
			mutations = append(mutations, object{"remove": header})
		}
		filters = append(filters, object{"name": "strip", "typed_config": object{
			"@type":     "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
			"mutations": object{"request_mutations": mutations},
		}})
	}
	if _, secret := l.secrets[name]; secret {
		filters = append(filters, object{"name": "inject", "typed_config": object{
			"@type":     "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
			"overwrite": true,
			"credential": object{"name": "generic", "typed_config": object{
				"@type":               "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
				"credential":          object{"name": name, "sds_config": watch(dir, "sds/"+name+"/secret.json")},
				"header":              "authorization",
				"header_value_prefix": "Bearer ",
			}},
		}})
	}
	filters = append(filters, object{"name": "codec", "typed_config": object{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
	}})
	out := object{
		"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
		"name":  name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment": object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{object{
			"endpoint": object{"address": object{"socket_address": object{"address": host, "port_value": number}}},
		}}}}},
		"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": object{"http_protocol_options": object{}},
			"http_filters":         filters,
		}},
	}
	if context, secure := l.tls[name]; secure {
		out["transport_socket"] = object{"name": "tls", "typed_config": context}
	}
	return out
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// backend serves what a test wants.
func backend(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// echo answers with the request's line, chosen headers and body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer := fmt.Sprintf("%s %s %s cl=%s te=%v removed=%q probe=%q auth=%q body=%s", r.Method, r.Host, r.RequestURI,
		r.Header.Get("Content-Length"), r.TransferEncoding, r.Header.Get("X-Removed"), r.Header.Get("X-Set"), r.Header.Get("Authorization"), clip(body))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	io.WriteString(w, answer)
}

func clip(b []byte) string {
	if len(b) > 100 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return string(b)
}

// run starts a host and checks at the end that the module broke no rule.
func run(t testing.TB, l layout, workers int) (*Host, string) {
	t.Helper()
	h, dir := start(t, l, workers)
	t.Cleanup(func() {
		for _, v := range h.Violations() {
			t.Errorf("violation: %s", v)
		}
	})
	return h, dir
}

func start(t testing.TB, l layout, workers int) (*Host, string) {
	t.Helper()
	if l.module == "" {
		l.module = probeModule(t)
	}
	dir := t.TempDir()
	l.write(t, dir)
	var log bytes.Buffer
	h, err := Start(t.Context(), Options{Dir: dir, Workers: workers, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if t.Failed() {
			t.Logf("log:\n%s", log.String())
		}
	})
	return h, dir
}

// call makes a request with the steps of the probe and returns status and body.
func call(t testing.TB, url, probe string, body io.Reader) (int, string) {
	t.Helper()
	res := send(t, url, probe, body)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, string(b) + " " + err.Error()
	}
	return res.StatusCode, string(b)
}

func send(t testing.TB, url, probe string, body io.Reader) *http.Response {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Probe", probe)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
