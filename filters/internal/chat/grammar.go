package chat

import (
	"bytes"
	"math/bits"
	"strconv"
	"strings"
)

// A visitor is told of the values that the grammar has a place for.
type visitor interface {
	// begin meets a value whose first byte has the offset at.
	begin(p place, k kind, at int) *BadRequest
	// text is a piece of a string, or of a value that is wanted raw; valid only
	// during the call.
	text(p place, b []byte)
	// end comes behind the value.
	end(p place, k kind, at int) *BadRequest
}

// place is what a value means, by where it stands. Zero is a value that nobody
// wants to know of.
type place uint8

const ignored place = 0

// rule is what the grammar knows of a place.
type rule struct {
	name    string   // for errors; [] stands for the index in the array below the top
	accepts kind     // what it may be; zero is anything
	want    string   // the same in words
	how     how      // what is wanted of it
	members []member // of an object
	element place    // of an array

	// strict refuses members given twice, and such as differ from a known one
	// in nothing but the case: of these some backends take the first, some the
	// last, some either spelling, and what was checked would not be what counts.
	strict bool
}

type member struct {
	name  string
	place place
}

// grammar is where a scanner stands among the places.
type grammar struct {
	rules  []rule
	around [maxDepth]place // what the containers around the next value are
	next   place           // what the next value is, unless it is an array's element
	place  place           // of the value begun last, or just ended
	seen   uint64          // members of strict objects, a bit for each place
	index  int             // of the element in the array below the top
	keyAt  int             // offset of the quote before the last key
	values int             // those at a place where all that counts is how many there are
}

// admit finds the place of a value that begins in depth containers, and refuses
// one of a type that cannot stand there.
func (g *grammar) admit(k kind, depth int) (how, *BadRequest) {
	g.place = g.next
	if depth > 0 {
		in := &g.rules[g.around[depth-1]]
		if in.element != ignored {
			g.place = in.element
			if depth == 2 {
				g.index++
			}
		}
	}
	if g.place == ignored {
		return skip, nil
	}
	r := &g.rules[g.place]
	if r.accepts != 0 && r.accepts&k == 0 {
		return skip, g.refuse(r, "want "+r.want+", got "+k.String())
	}
	if r.how == count {
		g.values++
		g.place = ignored
		return skip, nil
	}
	if k == null || r.how == read && (k == object && r.members == nil || k == array && r.element == ignored) {
		return skip, nil
	}
	return r.how, nil
}

// enter goes into the container just begun, the depth-th.
func (g *grammar) enter(depth int) {
	g.around[depth-1] = g.place
	if depth == 2 {
		g.index = -1
	}
}

// leave goes out of it.
func (g *grammar) leave(depth int) { g.place = g.around[depth-1] }

// member finds the place of the next value by its name in the depth-th container.
func (g *grammar) member(name []byte, depth int) *BadRequest {
	in := &g.rules[g.around[depth-1]]
	g.next = ignored
	for i := range in.members {
		if m := &in.members[i]; m.name == string(name) {
			g.next = m.place
			if !in.strict {
				return nil
			}
			if bit := uint64(1) << m.place; g.seen&bit == 0 {
				g.seen |= bit
				return nil
			}
			return g.refuse(&g.rules[m.place], "given twice")
		}
	}
	if in.strict {
		for i := range in.members {
			if m := &in.members[i]; bytes.EqualFold(name, []byte(m.name)) {
				return g.refuse(&g.rules[m.place], "given as "+strconv.QuoteToASCII(string(name))+", want it in lower case")
			}
		}
	}
	return nil
}

// refuse is an error about the value at a rule's place.
func (g *grammar) refuse(r *rule, message string) *BadRequest {
	return &BadRequest{
		Field:   strings.Replace(r.name, "[]", "["+strconv.Itoa(g.index)+"]", 1),
		Message: message,
	}
}

var kinds = [...]string{"an object", "an array", "a string", "a number", "true", "false", "null"}

// String is the kind as an error calls it.
func (k kind) String() string { return kinds[bits.TrailingZeros8(uint8(k))] }
