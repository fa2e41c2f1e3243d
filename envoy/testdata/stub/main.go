// The smallest module that plays both roles, so that the resources can be tried
// on a real Envoy. The gateway role takes its order of backends from the request
// header x-order, the attempt role reports what it did in the filter state.
package main

import (
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} }) }

type plugin struct {
	types.DefaultPluginContext
	gateway bool
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil || strings.Contains(string(configuration), "unacceptable") {
		return types.OnPluginStartStatusFailed
	}
	p.gateway = strings.HasPrefix(string(configuration), `{"role":"gateway","policy":{`)
	if !p.gateway && string(configuration) != `{"role":"attempt"}` {
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	if p.gateway {
		return &gateway{}
	}
	return &attempt{}
}

// gateway reads the whole body, then chooses.
type gateway struct{ types.DefaultHttpContext }

func (g *gateway) OnHttpRequestHeaders(_ int, end bool) types.Action {
	if end {
		g.choose()
		return types.ActionContinue
	}
	return types.ActionPause
}

func (g *gateway) OnHttpRequestBody(_ int, end bool) types.Action {
	if !end {
		return types.ActionPause
	}
	g.choose()
	return types.ActionContinue
}

func (g *gateway) choose() {
	// What reached the filter, for tests of what must not.
	headers, _ := proxywasm.GetHttpRequestHeaders()
	var seen []string
	for _, h := range headers {
		seen = append(seen, h[0])
	}
	set("tollgate.seen", strings.Join(seen, " "))
	source, _ := proxywasm.GetProperty([]string{"source", "address"})
	set("tollgate.source", string(source))
	order, err := proxywasm.GetHttpRequestHeader("x-order")
	if err != nil {
		return // undecided
	}
	names := strings.Split(order, ",")
	set("tollgate.order", order)
	set("tollgate.backend", names[0])
	_ = proxywasm.ReplaceHttpRequestHeader("x-envoy-max-retries", strconv.Itoa(len(names)-1))
	if ms, err := proxywasm.GetHttpRequestHeader("x-try-ms"); err == nil {
		_ = proxywasm.ReplaceHttpRequestHeader("x-envoy-upstream-rq-per-try-timeout-ms", ms)
	}
}

func (g *gateway) OnHttpResponseHeaders(int, bool) types.Action {
	_ = proxywasm.ReplaceHttpResponseHeader("x-seen", get("tollgate.seen"))
	_ = proxywasm.ReplaceHttpResponseHeader("x-source", get("tollgate.source"))
	_ = proxywasm.ReplaceHttpResponseHeader("x-tries", get("tollgate.tries"))
	return types.ActionContinue
}

// attempt names the next backend and notes that it ran.
type attempt struct{ types.DefaultHttpContext }

func (a *attempt) OnHttpRequestHeaders(int, bool) types.Action {
	order := strings.Split(get("tollgate.order"), ",")
	cluster, _ := proxywasm.GetProperty([]string{"xds", "cluster_name"})
	tries := append(strings.Fields(get("tollgate.tries")), string(cluster))
	set("tollgate.tries", strings.Join(tries, " "))
	if len(tries) < len(order) {
		set("tollgate.backend", order[len(tries)])
	}
	_ = proxywasm.ReplaceHttpRequestHeader(":authority", strings.ReplaceAll(string(cluster), "/", "."))
	return types.ActionContinue
}

func get(key string) string {
	value, _ := proxywasm.GetProperty([]string{key})
	return string(value)
}

func set(key, value string) {
	if err := proxywasm.SetProperty([]string{key}, []byte(value)); err != nil {
		proxywasm.LogErrorf("set %s: %v", key, err)
	}
}
