// Command module is the least that makes the rendered routes lead somewhere: in
// its gateway role it sends a request to the backend that the request names in
// x-backend. It stands in for the filters where their policies do not matter.
package main

import (
	"bytes"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&machine{}) }

type machine struct{ types.DefaultVMContext }

func (*machine) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	gateway bool
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	p.gateway = bytes.Contains(configuration, []byte(`"role":"gateway"`))
	return err == nil
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{gateway: p.gateway} }

type stream struct {
	types.DefaultHttpContext
	gateway bool
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	if s.gateway {
		if name, err := proxywasm.GetHttpRequestHeader("x-backend"); err == nil {
			_ = proxywasm.SetProperty([]string{"tollgate.backend"}, []byte(name))
			_, _ = proxywasm.CallForeignFunction("clear_route_cache", nil)
		}
	}
	return types.ActionContinue
}
