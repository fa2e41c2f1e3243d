package limit

import (
	"encoding/binary"
	"math/bits"
)

// Key identifies one token bucket: the hash of its limit's name and its counter
// key under the table's seed. Never 0.
type Key uint64

// Append adds one part of a key to dst and returns the extended slice. A bucket
// is named by its limit's name followed by the values of its counter key, each
// appended in turn; parts carry their length, so that ("a", "bc") and
// ("ab", "c") differ.
func Append(dst []byte, part string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(part))), part...)
}

// Key hashes the parts that [Append] has put together.
func (t *Table) Key(parts []byte) Key {
	return Key(max(sip(t.k0, t.k1, parts), 1))
}

const seedName = "limit/seed"

// Seed returns the seed of the hashes, the same for every VM over the store:
// the first to ask leaves random there, the others read it. Clients choose
// parts of keys, so random must be unpredictable: with a known seed they could
// crowd one bucket.
func Seed(store Store, random uint64) uint64 {
	for range tries {
		value, cas, ok := store.Get(seedName)
		if ok && len(value) == 8 {
			return binary.LittleEndian.Uint64(value)
		}
		if !ok {
			cas = Absent
		}
		var fresh [8]byte
		binary.LittleEndian.PutUint64(fresh[:], random)
		if store.Set(seedName, fresh[:], cas) {
			break
		}
	}
	return random
}

// mix is the finaliser of SplitMix64; it makes two words of hash key from one
// seed.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sip is SipHash-2-4 (Aumasson and Bernstein, 2012) of p under the key (k0, k1).
// It is keyed, unlike the hashes of the standard library whose seed can be set.
func sip(k0, k1 uint64, p []byte) uint64 {
	h := state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(p)) << 56
	for ; len(p) >= 8; p = p[8:] {
		h.absorb(binary.LittleEndian.Uint64(p))
	}
	for i, b := range p {
		last |= uint64(b) << (8 * i)
	}
	h.absorb(last)
	h.v2 ^= 0xff
	for range 4 {
		h.round()
	}
	return h.v0 ^ h.v1 ^ h.v2 ^ h.v3
}

type state struct{ v0, v1, v2, v3 uint64 }

func (h *state) absorb(word uint64) {
	h.v3 ^= word
	h.round()
	h.round()
	h.v0 ^= word
}

func (h *state) round() {
	h.v0 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 13) ^ h.v0
	h.v0 = bits.RotateLeft64(h.v0, 32)
	h.v2 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 16) ^ h.v2
	h.v0 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 21) ^ h.v0
	h.v2 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 17) ^ h.v2
	h.v2 = bits.RotateLeft64(h.v2, 32)
}
