package host

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

// Shared is Envoy's shared data: one store for all workers, with
// compare-and-swap, without deletion, listing or expiry. It satisfies the
// stores that the domain declares.
type Shared struct{}

// Get returns a value and its version; ok is false where it was never set.
func (Shared) Get(key string) (value []byte, cas uint32, ok bool) {
	value, cas, err := proxywasm.GetSharedData(key)
	return value, cas, err == nil
}

// Set writes a value if the version is still the one read; ok is false where
// somebody else was first. Versions are never 0, and 0 would overwrite blindly.
func (Shared) Set(key string, value []byte, cas uint32) (ok bool) {
	return proxywasm.SetSharedData(key, value, cas) == nil
}
