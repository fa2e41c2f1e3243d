package strict

import "sync"

// Types of metrics in the ABI; the two low bits of an id tell it.
const (
	counter    = 0
	gauge      = 1
	histogram  = 2
	typeOfID   = 3
	nextMetric = 4
)

// metric is a statistic of the process: workers that define the same name add to
// the same value. A histogram keeps the sum of what was recorded.
type metric struct {
	mu    sync.Mutex
	value int64
}

func (m *metric) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value += n
}

func (m *metric) set(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value = n
}

func (m *metric) load() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value
}

// defineMetric gives out a new id on every call, even for a known name.
func defineMetric(v *vm, a args) status {
	kind := a.u32(0)
	if kind > histogram {
		return badArgument
	}
	name, inside := v.string(a.u32(1), a.u32(2))
	if !inside {
		return invalidMemoryAccess
	}
	id := v.nextID[kind]
	v.nextID[kind] += nextMetric
	v.metrics[id] = v.host.metric(name)
	if !v.put(a.u32(3), id) {
		return invalidMemoryAccess
	}
	return ok
}

// incrementMetric refuses a counter's offset of 0 or below, which makes the SDK
// panic, and a histogram.
func incrementMetric(v *vm, a args) status {
	id, offset := a.u32(0), int64(a.u64(1))
	kind := id & typeOfID
	if kind > gauge {
		return badArgument
	}
	m, found := v.metrics[id]
	if !found {
		return notFound
	}
	if kind == counter && offset <= 0 {
		v.violate("proxy_increment_metric: a counter by %d", offset)
		return badArgument
	}
	m.add(offset)
	return ok
}

func recordMetric(v *vm, a args) status {
	id, value := a.u32(0), int64(a.u64(1))
	m, found := v.metrics[id]
	if !found {
		return notFound
	}
	if id&typeOfID == gauge {
		m.set(value)
	} else {
		m.add(value)
	}
	return ok
}

func getMetric(v *vm, a args) status {
	id := a.u32(0)
	if id&typeOfID > gauge {
		return badArgument
	}
	m, found := v.metrics[id]
	if !found {
		return notFound
	}
	if !v.module.Memory().WriteUint64Le(a.u32(1), uint64(m.load())) {
		return invalidMemoryAccess
	}
	return ok
}
