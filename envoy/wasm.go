package envoy

import (
	"encoding/json"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// vm names the module's virtual machine. Envoy keeps one VM per worker for one
// name and one code, whatever the number of plugin configurations.
const vm = "tollgate"

// wasmType is the type of the filter's configuration.
const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"

// reloadAfter is the pause before a VM that has trapped is replaced. Envoy's
// default of a second is a second of 503s on that worker.
const reloadAfter = 50 * time.Millisecond

// wasm is the module in one of its two roles. The attempt role takes no policy:
// its configuration is the same bytes in every cluster, so that Envoy shares one
// plugin context among them.
func (d *render) wasm(role string, policy json.RawMessage) *anypb.Any {
	// Marshalling a string and a valid JSON document does not fail.
	configuration, _ := json.Marshal(struct {
		Role   string          `json:"role"`
		Policy json.RawMessage `json:"policy,omitempty"`
	}{role, policy})
	return pack(&wasmfilterv3.Wasm{Config: &wasmv3.PluginConfig{
		Name:   vm,
		RootId: vm,
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			VmId:    vm,
			Runtime: "envoy.wasm.runtime.v8",
			Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{Local: &corev3.DataSource{
				Specifier: &corev3.DataSource_Filename{Filename: d.options.Module},
			}}},
		}},
		Configuration: pack(wrapperspb.String(string(configuration))),
		FailurePolicy: wasmv3.FailurePolicy_FAIL_RELOAD,
		ReloadConfig: &wasmv3.ReloadConfig{Backoff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(reloadAfter),
		}},
		// Both roles read the body before the headers go on.
		AllowOnHeadersStopIteration: wrapperspb.Bool(true),
	}})
}

// filter is an HTTP filter with its configuration in place.
func filter(name string, config *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}
