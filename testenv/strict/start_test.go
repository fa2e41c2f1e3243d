package strict

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What keeps Envoy from starting keeps this host from starting.
func TestStartRefuses(t *testing.T) {
	done := external{"env", "proxy_done", 0, 1}
	alloc := func(body code) function {
		return function{name: "proxy_on_memory_allocate", params: 1, results: 1, body: block(body, constant(1024))}
	}
	// configure asks for its configuration, for which the host asks for memory.
	configure := function{name: "proxy_on_configure", params: 2, results: 1, body: block(
		constant(pluginConfiguration), constant(0), constant(100), constant(0), constant(4), invoke(1), drop(), constant(1))}
	getBuffer := external{"env", "proxy_get_buffer_bytes", 5, 1}

	for _, c := range []struct {
		name       string
		wasm       []byte
		want       string // prefix of the error
		violations []string
	}{
		{name: "a module without ABI", wasm: assemble(nil, []function{{name: "_initialize"}}),
			want: "wasm: does not export proxy_abi_version_0_2_0"},
		{name: "an import that Envoy lacks", wasm: assemble([]external{{"env", "proxy_get_log_level", 1, 1}}, plugged()),
			want: "import env.proxy_get_log_level: not offered by Envoy 1.39"},
		{name: "an import of another type", wasm: assemble([]external{{"env", "proxy_done", 1, 1}}, plugged()),
			want: "import func[env.proxy_done]: signature mismatch"},
		{name: "a host call in _initialize",
			wasm: assemble([]external{done}, plugged(function{name: "_initialize", body: block(invoke(0), drop())})),
			want: "_initialize: restricted_callback: env.proxy_done"},
		{name: "a host call while memory is asked for",
			wasm: assemble([]external{done, getBuffer}, plugged(alloc(block(invoke(0), drop())), configure)),
			want: "the VM has failed before"},
		{name: "a refused start", wasm: assemble(nil, []function{
			{name: "proxy_abi_version_0_2_0"}, {name: "proxy_on_vm_start", params: 2, results: 1, body: constant(0)}}),
			want: "the module refused to start"},
		{name: "a refused configuration", wasm: assemble(nil, plugged(function{name: "proxy_on_configure", params: 2, results: 1, body: constant(0)})),
			want: "plugin probe refused its configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			layout{module: moduleFile(t, c.wasm)}.write(t, dir)
			_, err := Start(t.Context(), Options{Dir: dir})
			if !strings.HasPrefix(message(err), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What may be called then may be called.
func TestStartAllows(t *testing.T) {
	log, getBuffer := external{"env", "proxy_log", 3, 1}, external{"env", "proxy_get_buffer_bytes", 5, 1}
	hello := block(constant(2), constant(0), constant(0), invoke(0), drop())
	wasm := assemble([]external{log, getBuffer}, plugged(
		function{name: "_initialize", body: hello},
		function{name: "proxy_on_memory_allocate", params: 1, results: 1, body: block(hello, constant(1024))},
		function{name: "proxy_on_configure", params: 2, results: 1, body: block(
			constant(pluginConfiguration), constant(0), constant(100), constant(0), constant(4), invoke(1), drop(), constant(1))},
	))
	run(t, layout{module: moduleFile(t, wasm)}, 2)
	run(t, layout{module: moduleFile(t, assemble(nil, []function{{name: "proxy_abi_version_0_2_0"}}))}, 1)
}

func TestStartRefusesFiles(t *testing.T) {
	for _, c := range []struct {
		name, file string
		change     func(string) string
		want       string
	}{
		{"no bootstrap", "bootstrap.json", func(string) string { return "" }, "bootstrap.json: unexpected end of JSON input"},
		{"another HTTP filter", "lds/lds.json", func(s string) string {
			return strings.Replace(s, "http.router.v3.Router", "http.cors.v3.Cors", 1)
		}, "listener: http filter router: type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors is not played by the strict host"},
		{"another filter of a cluster", "cds/cds.json", func(s string) string {
			return strings.Replace(s, "upstream_codec.v3.UpstreamCodec", "lua.v3.Lua", 1)
		}, "clusters: closed: http filter codec: type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua is not played by the strict host"},
		{"another cluster specifier", "rds/rds.json", func(s string) string {
			return strings.Replace(s, "matcher.v3.MatcherClusterSpecifier", "lua.v3.LuaConfig", 1)
		}, "listener: routes[0]: cluster specifier type.googleapis.com/envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig is not played by the strict host"},
		{"a module of its own in a cluster", "cds/cds.json", func(s string) string {
			return strings.Replace(s, `"vm_id":"probe"`, `"vm_id":"other"`, 1)
		}, "cluster closed: another module or vm_id than the gateway's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			layout{module: probeModule(t)}.write(t, dir)
			path := filepath.Join(dir, c.file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.change(string(b))), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Start(t.Context(), Options{Dir: dir}); message(err) != c.want {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
