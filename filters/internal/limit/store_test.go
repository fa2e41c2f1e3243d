package limit

import (
	"sync"
	"testing"
)

// shared is Envoy's shared data of one vm_id: proxy-wasm-cpp-host
// src/shared_data.cc. A set with version 0 overwrites, a set of an absent key
// succeeds whatever its version, versions come from one counter that skips 0.
type shared struct {
	mu      sync.Mutex
	values  map[string]entry
	version uint32
	gets    int
	sets    int
}

type entry struct {
	value []byte
	cas   uint32
}

func newShared() *shared { return &shared{values: map[string]entry{}} }

func (s *shared) Get(key string) ([]byte, uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	e, ok := s.values[key]
	return append([]byte(nil), e.value...), e.cas, ok
}

func (s *shared) Set(key string, value []byte, cas uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets++
	if e, ok := s.values[key]; ok && cas != 0 && cas != e.cas {
		return false
	}
	if s.version++; s.version == 0 {
		s.version++
	}
	s.values[key] = entry{append([]byte(nil), value...), s.version}
	return true
}

// rival is a store in which somebody else writes between a Get and its Set.
type rival struct {
	Store
	busy  bool
	write func(key string) bool // true: it has written
}

func (r *rival) Set(key string, value []byte, cas uint32) bool {
	if !r.busy {
		r.busy = true
		r.write(key)
		r.busy = false
	}
	return r.Store.Set(key, value, cas)
}

// touch rewrites what key holds, so that its version changes.
func touch(s *shared) func(string) bool {
	return func(key string) bool {
		value, cas, ok := s.Get(key)
		return ok && s.Set(key, value, cas)
	}
}

// newTable returns a table of one VM over s; groups as in New.
func newTable(t testing.TB, s Store, groups int) *Table {
	t.Helper()
	table, err := New(s, Seed(s, 1), groups)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// key is the key of the limit "tokens" for one counter value.
func key(t *Table, value string) Key {
	return t.Key(Append(Append(nil, "tokens"), value))
}

func TestSharedFollowsEnvoy(t *testing.T) {
	s := newShared()
	for _, step := range []struct {
		name, key, value string
		cas              uint32
		want             bool
	}{
		{"absent, version 0", "a", "1", 0, true},
		{"absent, any version", "b", "1", 99, true},
		{"absent, created in the meantime", "b", "2", Absent, false},
		{"present, its version", "a", "2", 1, true},
		{"present, an old version", "a", "3", 1, false},
		{"present, version 0 overwrites", "a", "4", 0, true},
	} {
		if got := s.Set(step.key, []byte(step.value), step.cas); got != step.want {
			t.Errorf("%s: set = %v, want %v", step.name, got, step.want)
		}
	}
	if v, cas, ok := s.Get("a"); string(v) != "4" || cas != 4 || !ok {
		t.Errorf("a = %s, version %d, want 4, version 4 of one counter for all keys", v, cas)
	}
	s.version = Absent
	s.Set("c", nil, 0)
	if _, cas, _ := s.Get("c"); cas != 1 {
		t.Errorf("version after the largest = %d, want 1", cas)
	}
}
