package limit

import (
	"encoding/binary"
	"math"
)

// A group is one value in the store: a slot each for the keys that hash to it,
// and behind them one that is nobody's own. Finding, claiming and updating a
// slot is one compare-and-swap of the group.
const (
	keyed    = 7     // slots that belong to one key each
	overflow = keyed // the slot shared by keys that find none free
	slotSize = 48

	// groupSize tells versions of the layout apart: a value of another length
	// is taken for an empty group.
	groupSize = (keyed + 1) * slotSize

	// ever is when an empty slot was filled: before every instant.
	ever = math.MinInt64
)

type group [groupSize]byte

// find returns the slot in which key is charged and the bucket in it: the key's
// own, else an empty one, else the one that has been full again for longest,
// else the overflow slot. A slot that is not the key's yet comes back as the
// claim of it, for the caller to put.
//
// A newcomer may have been in the overflow slot a moment ago, so that its claim
// starts from there: nobody is better off for having found no slot.
func (g *group) find(now int64, key Key) (int, bucket) {
	free, oldest := overflow, now+1
	for i := range keyed {
		switch g.key(i) {
		case key:
			return i, g.bucket(i)
		case 0:
			if oldest > ever {
				free, oldest = i, ever
			}
		default:
			if tat := g.tat(i).ceil(); tat < oldest {
				free, oldest = i, tat
			}
		}
	}
	shared := g.bucket(overflow)
	if free == overflow {
		return overflow, shared
	}
	return free, bucket{key: key, tat: shared.tat, full: now}
}

func (g *group) key(i int) Key  { return Key(g.word(i, 0)) }
func (g *group) tat(i int) span { return span{int64(g.word(i, 1)), g.word(i, 2)} }

func (g *group) bucket(i int) bucket {
	return bucket{
		key:      g.key(i),
		tat:      g.tat(i),
		full:     int64(g.word(i, 3)),
		refunded: span{int64(g.word(i, 4)), g.word(i, 5)},
	}
}

func (g *group) put(i int, b bucket) {
	for n, word := range [...]uint64{
		uint64(b.key),
		uint64(b.tat.ns), b.tat.frac,
		uint64(b.full),
		uint64(b.refunded.ns), b.refunded.frac,
	} {
		binary.LittleEndian.PutUint64(g[i*slotSize+8*n:], word)
	}
}

// word is the n-th 64-bit word of slot i.
func (g *group) word(i, n int) uint64 {
	return binary.LittleEndian.Uint64(g[i*slotSize+8*n:])
}
