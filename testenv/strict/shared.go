package strict

import "sync"

// store is the shared data of all VMs with one vm_id, with exactly Envoy's rules
// (proxy-wasm-cpp-host, src/shared_data.cc).
type store struct {
	mu      sync.Mutex
	entries map[string]entry
	lastCAS uint32
}

type entry struct {
	value []byte
	cas   uint32
}

func (s *store) get(key string) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.entries[key]
	return e, found
}

// set writes value unless the key exists and cas is neither 0 nor its current
// one. A cas given for an absent key is ignored. Versions come from one counter
// of the whole store, which leaves 0 out.
func (s *store) set(key string, value []byte, cas uint32) status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, found := s.entries[key]; found && cas != 0 && cas != e.cas {
		return casMismatch
	}
	s.lastCAS++
	if s.lastCAS == 0 {
		s.lastCAS++
	}
	if s.entries == nil {
		s.entries = map[string]entry{}
	}
	s.entries[key] = entry{value, s.lastCAS}
	return ok
}

func getSharedData(v *vm, a args) status {
	key, inside := v.string(a.u32(0), a.u32(1))
	if !inside {
		return invalidMemoryAccess
	}
	e, found := v.host.shared.get(key)
	if !found {
		return notFound
	}
	if st := v.give(e.value, a.u32(2), a.u32(3)); st != ok {
		return st
	}
	if !v.put(a.u32(4), e.cas) {
		return invalidMemoryAccess
	}
	return ok
}

func setSharedData(v *vm, a args) status {
	key, inside := v.string(a.u32(0), a.u32(1))
	value, insideToo := v.bytes(a.u32(2), a.u32(3))
	if !inside || !insideToo {
		return invalidMemoryAccess
	}
	return v.host.shared.set(key, value, a.u32(4))
}
