package limit

import (
	"encoding/binary"
	"testing"
)

// The vectors are those of the SipHash paper, appendix A, and of its reference
// implementation: key 00 01 … 0f, message 00 01 … of the given length.
func TestSip(t *testing.T) {
	var key [16]byte
	for i := range key {
		key[i] = byte(i)
	}
	k0, k1 := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	for _, tc := range []struct {
		length int
		want   uint64
	}{
		{0, 0x726fdb47dd0e0e31},
		{1, 0x74f839c593dc67fd},
		{7, 0xab0200f58b01d137},
		{8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
	} {
		message := make([]byte, tc.length)
		for i := range message {
			message[i] = byte(i)
		}
		if got := sip(k0, k1, message); got != tc.want {
			t.Errorf("length %d: %#x, want %#x", tc.length, got, tc.want)
		}
	}
}

func TestKeysAreToldApart(t *testing.T) {
	table := newTable(t, newShared(), 1)
	seen := map[Key][]string{}
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"},
		{"a", "bc"}, {"ab", "c"}, {"abc"}, {"a", "b", "c"}, {"\x01a"}, {"a\x02bc"},
	} {
		var name []byte
		for _, part := range parts {
			name = Append(name, part)
		}
		k := table.Key(name)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q are one key", parts, other)
		}
		seen[k] = parts
	}
}

func TestSeed(t *testing.T) {
	s := newShared()
	if got := Seed(s, 7); got != 7 {
		t.Errorf("first VM: seed %d, want its own 7", got)
	}
	if got := Seed(s, 8); got != 7 {
		t.Errorf("second VM: seed %d, want the first one's 7", got)
	}

	s = newShared()
	late := &rival{Store: s, write: func(string) bool { return Seed(s, 7) == 7 }}
	if got := Seed(late, 8); got != 7 {
		t.Errorf("VM that came second to write: seed %d, want 7", got)
	}

	s = newShared()
	s.Set(seedName, []byte("short"), 0)
	if got := Seed(s, 7); got != 7 {
		t.Errorf("value of another layout: seed %d, want 7", got)
	}
	if a, b := newTable(t, s, 1), newTable(t, s, 1); key(a, "x") != key(b, "x") {
		t.Error("two VMs hash one key differently")
	}
}
