package strict

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// maxMemoryPages is 1 GiB, the limit V8 has in Envoy (proxy-wasm-cpp-host,
// limits.h).
const maxMemoryPages = 1 << 14

// engine compiles each module once in a process: that takes a second or two, and
// a test starts many hosts of the same module.
type engine struct {
	start   func() (wazero.Runtime, error)
	mu      sync.Mutex
	modules map[[sha256.Size]byte]wazero.CompiledModule
}

var compiled = engine{
	start:   sync.OnceValues(startRuntime),
	modules: map[[sha256.Size]byte]wazero.CompiledModule{},
}

// instantiate makes an instance of wasm that has run nothing yet. Host calls
// find the VM in ctx.
func (e *engine) instantiate(ctx context.Context, wasm []byte) (api.Module, error) {
	rt, err := e.start()
	if err != nil {
		return nil, err
	}
	module, err := e.compile(rt, wasm)
	if err != nil {
		return nil, err
	}
	return rt.InstantiateModule(ctx, module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
}

func (e *engine) compile(rt wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := sha256.Sum256(wasm)
	if module, ok := e.modules[key]; ok {
		return module, nil
	}
	if err := CheckImports(wasm); err != nil {
		return nil, err
	}
	module, err := rt.CompileModule(context.Background(), wasm)
	if err != nil {
		return nil, err
	}
	if _, ok := module.ExportedFunctions()["proxy_abi_version_0_2_0"]; !ok {
		return nil, errors.New("wasm: does not export proxy_abi_version_0_2_0")
	}
	e.modules[key] = module
	return module, nil
}

// startRuntime makes the runtime with the two host modules.
func startRuntime() (wazero.Runtime, error) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(maxMemoryPages))
	for module, calls := range hostModules() {
		builder := rt.NewHostModuleBuilder(module)
		for _, c := range calls {
			builder.NewFunctionBuilder().
				WithGoModuleFunction(c.link(module), valueTypes(c.params), valueTypes(c.results)).
				Export(c.name)
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return nil, fmt.Errorf("host module %s: %w", module, err)
		}
	}
	return rt, nil
}

// hostcall is a function that the module may import.
type hostcall struct {
	name    string
	params  string // one letter each: i = i32, I = i64
	results string
	run     func(*vm, args) uint32
}

// args are the parameters of a host call. The upper half of a slot that holds an
// i32 may be garbage.
type args []uint64

func (a args) u32(i int) uint32 { return uint32(a[i]) }
func (a args) u64(i int) uint64 { return a[i] }

// link makes c callable. A panic in a host function is how wazero traps.
func (c hostcall) link(module string) api.GoModuleFunc {
	name := module + "." + c.name
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		v := ctx.Value(vmKey{}).(*vm)
		if v.allowed != nil && !v.allowed(c.name) {
			v.violate("%s called during %s: restricted_callback", name, v.during)
			panic(fmt.Errorf("restricted_callback: %s", name))
		}
		result := c.run(v, stack)
		if c.results != "" {
			stack[0] = uint64(result)
		}
	}
}

func valueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, 0, len(letters))
	for _, l := range letters {
		if l == 'I' {
			types = append(types, api.ValueTypeI64)
		} else {
			types = append(types, api.ValueTypeI32)
		}
	}
	return types
}
