package limit

import "testing"

// bare is a store that costs nothing, so that what is measured is the table's.
// In Envoy a Get costs 1.2 µs and one allocation, a Set 0.2 µs.
type bare struct {
	values map[string][]byte
}

func (b bare) Get(key string) ([]byte, uint32, bool) {
	v, ok := b.values[key]
	return v, 1, ok
}

func (b bare) Set(key string, value []byte, _ uint32) bool {
	if v, ok := b.values[key]; ok {
		copy(v, value)
	} else {
		b.values[key] = append([]byte(nil), value...)
	}
	return true
}

func BenchmarkReserveSettle(b *testing.B) {
	for _, bench := range []struct {
		name   string
		limits []string
	}{
		{"1 limit", []string{"a"}},
		{"3 limits", []string{"a", "b", "c"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			table := newTable(b, bare{map[string][]byte{}}, Groups)
			var charges []Charge
			for _, name := range bench.limits {
				charges = append(charges, Charge{key(table, name), 999_983, 500})
			}
			var held []Held
			b.ReportAllocs()
			for now := int64(0); b.Loop(); now += 20e6 {
				var v Verdict
				if held, v = table.Reserve(now, charges, held[:0]); v.Outcome != Passed {
					b.Fatalf("%+v", v)
				}
				for i := range held {
					table.Settle(now, &held[i], 300)
				}
			}
		})
	}
}

func BenchmarkRefuse(b *testing.B) {
	table := newTable(b, bare{map[string][]byte{}}, Groups)
	charges := []Charge{
		{key(table, "a"), 999_983, 500}, {key(table, "b"), 999_983, 500}, {key(table, "c"), 1000, 1000},
	}
	held, _ := table.Reserve(0, charges, nil)
	b.ReportAllocs()
	for b.Loop() {
		held, _ = table.Reserve(0, charges, held[:0])
	}
}

func BenchmarkKey(b *testing.B) {
	table := newTable(b, bare{map[string][]byte{}}, Groups)
	var name []byte
	b.ReportAllocs()
	for b.Loop() {
		name = Append(Append(Append(name[:0], "per-caller"), "team-a"), "gpt-4o")
		table.Key(name)
	}
}
