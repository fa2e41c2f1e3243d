package host

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

// Counter is one of Envoy's counters, shared by all workers. It is defined on
// first use: a definition is a new entry in the host's tables every time.
type Counter struct {
	Name    string
	defined bool
	metric  proxywasm.MetricCounter
}

// Panics counts callbacks that panicked and were recovered.
var Panics = Counter{Name: "tollgate_panics_total"}

// Add adds n. Nothing happens for 0, which Envoy refuses.
func (c *Counter) Add(n uint64) {
	if n == 0 {
		return
	}
	if !c.defined {
		c.metric, c.defined = proxywasm.DefineCounterMetric(c.Name), true
	}
	c.metric.Increment(n)
}
