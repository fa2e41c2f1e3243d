package chat

import "strconv"

// A scanner reads one JSON text (RFC 8259) at any split of its bytes and tells
// its visitor what the grammar wants to be known. It holds no part of the text:
// strings are handed on in place, what is escaped in them by way of a small
// buffer.
//
// As in encoding/json, bytes that are not UTF-8 pass, and half a surrogate pair
// reads as U+FFFD.
type scanner struct {
	grammar
	visitor visitor
	err     *BadRequest

	chunk  []byte
	before int // bytes in the chunks before this one
	state  state
	open   [maxDepth]kind // the containers around the next byte
	depth  int            // their number
	quiet  int            // depth of the container whose inside nobody wants to know; or 0

	how   how  // what is wanted of the value being read
	sink  sink // where the string being read goes
	inKey bool // it is a key
	from  int  // where in chunk that begins which has not been handed on

	word   kind   // which of true, false and null is being read
	rest   string // what is to come of it
	unit   rune   // \uXXXX, as far as it has been read
	digits int    // how many of its digits that is
	high   rune   // the first half of a surrogate pair whose second may follow; or 0

	decoded [256]byte // what was escaped, and what was short behind it, not handed on
	held    int       // its length

	name  [maxKey]byte // a key that is escaped or came in several chunks
	named int          // its length
	whole bool         // the key so far is chunk[from:]
}

const (
	maxDepth = 128 // containers in one another
	maxKey   = 64  // bytes of a key, decoded; more is cut off, and is in no grammar
)

// kind is what a JSON value is.
type kind uint8

const (
	object kind = 1 << iota
	array
	text
	number
	yes
	no
	null

	boolean = yes | no
)

// how says what a visitor wants of a value.
type how uint8

const (
	skip  how = iota // nothing but that it is there
	read             // a string's text, a container's inside
	raw              // its bytes as they stand
	count            // nothing but how many there are
)

// sink is where the pieces of a string go.
type sink uint8

const (
	nowhere sink = iota
	toName
	toVisitor
)

// state says what the next byte may be.
type state uint8

const (
	wantValue   state = iota
	wantElement       // a value, or the end of the array just begun
	wantKey
	wantMember // a key, or the end of the object just begun
	wantColon
	wantMore // a comma, or the end of the container
	wantNothing
	inString
	inEscape // behind the backslash
	inUnit   // in the digits of \uXXXX
	inLiteral
	inMinus // of a number: behind its minus,
	inZero  // behind its leading zero,
	inDigits
	inPoint // behind its decimal point,
	inFraction
	inExponent // behind its e,
	inSign     // behind the sign of its exponent
	inPower
)

func (s *scanner) reset(v visitor, rules []rule, top place) {
	s.grammar = grammar{rules: rules, next: top}
	s.visitor, s.err = v, nil
	s.before, s.state, s.depth, s.quiet = 0, wantValue, 0, 0
	s.how, s.sink, s.held, s.high = skip, nowhere, 0, 0
}

// write reads the next chunk. Once err is set, no more is read.
func (s *scanner) write(chunk []byte) {
	s.chunk, s.from = chunk, 0
	for i := 0; i < len(chunk) && s.err == nil; {
		i = s.step(i)
	}
	if s.err == nil {
		s.pause()
	}
	s.chunk, s.from = nil, 0
	s.before += len(chunk)
}

// close says that the text is over.
func (s *scanner) close() *BadRequest {
	switch {
	case s.err != nil:
	case numbers[s.state].complete:
		s.end(number, 0)
	}
	if s.err == nil && s.state != wantNothing {
		s.fail(0, "it ends too early")
	}
	return s.err
}

// pause hands on what of an unfinished value stands in the chunk.
func (s *scanner) pause() {
	switch {
	case s.how == raw:
		s.visitor.text(s.place, s.chunk[s.from:])
	case s.sink == nowhere:
	case s.state == inString:
		s.piece(len(s.chunk))
		fallthrough
	case s.state == inEscape, s.state == inUnit:
		s.spill()
		s.whole = false
	}
}

// step reads on from chunk[i], at least a byte, and returns where it stopped.
func (s *scanner) step(i int) int {
	c := s.chunk[i]
	switch s.state {
	case inString:
		return s.string(i)
	case inEscape:
		return s.escape(i, c)
	case inUnit:
		return s.digit(i, c)
	case inLiteral:
		return s.letters(i)
	case inMinus, inZero, inDigits, inPoint, inFraction, inExponent, inSign, inPower:
		return s.number(i)
	}
	if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
		return i + 1
	}
	switch s.state {
	case wantValue:
		return s.value(i, c)
	case wantElement:
		if c == ']' {
			return s.shut(i, array)
		}
		return s.value(i, c)
	case wantKey, wantMember:
		if c == '}' && s.state == wantMember {
			return s.shut(i, object)
		}
		return s.key(i, c)
	case wantColon:
		if c != ':' {
			return s.fail(i, "want a colon")
		}
		s.state = wantValue
		return i + 1
	case wantMore:
		return s.more(i, c)
	}
	return s.fail(i, "want nothing behind the value")
}

// value reads a value from its first byte on.
func (s *scanner) value(i int, c byte) int {
	switch {
	case c == '"':
		if !s.begin(text, i) {
			return i
		}
		s.state, s.inKey = inString, false
		if s.sink = nowhere; s.how == read {
			s.sink, s.from = toVisitor, i+1
		}
		return s.string(i + 1)
	case c == '{':
		s.nest(i, object, wantMember)
		return i + 1
	case c == '[':
		s.nest(i, array, wantElement)
		return i + 1
	case c == '-', '0' <= c && c <= '9':
		if !s.begin(number, i) {
			return i
		}
		switch s.state = inDigits; c {
		case '-':
			s.state = inMinus
		case '0':
			s.state = inZero
		}
		return s.number(i + 1)
	case c == 't':
		return s.constant(i, yes, "true")
	case c == 'f':
		return s.constant(i, no, "false")
	case c == 'n':
		return s.constant(i, null, "null")
	}
	return s.fail(i, "want a value")
}

// key reads a member's name from the quote before it on.
func (s *scanner) key(i int, c byte) int {
	if c != '"' {
		return s.fail(i, "want a name in quotes")
	}
	s.state, s.inKey = inString, true
	if s.sink = nowhere; s.quiet == 0 {
		s.sink, s.from = toName, i+1
		s.whole, s.named = true, 0
		s.keyAt = s.before + i
	}
	return s.string(i + 1)
}

// more reads what follows a value in a container.
func (s *scanner) more(i int, c byte) int {
	in := s.open[s.depth-1]
	switch {
	case c == ',' && in == object:
		s.state = wantKey
		if i+1 < len(s.chunk) && s.chunk[i+1] == '"' {
			return s.key(i+1, '"')
		}
		return i + 1
	case c == ',':
		s.state = wantValue
		if i+1 < len(s.chunk) && s.chunk[i+1] > ' ' {
			return s.value(i+1, s.chunk[i+1])
		}
		return i + 1
	case c == '}' && in == object, c == ']' && in == array:
		return s.shut(i, in)
	case in == object:
		return s.fail(i, "want a comma or a closing brace")
	}
	return s.fail(i, "want a comma or a closing bracket")
}

// nest begins a container.
func (s *scanner) nest(i int, k kind, first state) {
	if s.depth == maxDepth {
		s.err = &BadRequest{Message: "nested too deeply"}
		return
	}
	if !s.begin(k, i) {
		return
	}
	s.open[s.depth] = k
	s.depth++
	s.state = first
	switch {
	case s.quiet > 0:
	case s.how == read:
		s.enter(s.depth)
	default:
		s.quiet = s.depth
	}
}

// shut ends a container.
func (s *scanner) shut(i int, k kind) int {
	switch s.quiet {
	case 0:
		s.leave(s.depth)
	case s.depth:
		s.quiet = 0
	}
	s.depth--
	s.end(k, i+1)
	return i + 1
}

// begin notes that a value begins at chunk[i]. It is false if there was an error.
func (s *scanner) begin(k kind, i int) bool {
	if s.quiet > 0 {
		return true
	}
	s.how, s.err = s.admit(k, s.depth)
	if s.err != nil || s.place == ignored {
		return s.err == nil
	}
	if s.how == raw {
		s.from = i
	}
	s.err = s.visitor.begin(s.place, k, s.before+i)
	return s.err == nil
}

// end notes that a value ended before chunk[i].
func (s *scanner) end(k kind, i int) {
	s.state = wantMore
	if s.depth == 0 {
		s.state = wantNothing
	}
	if s.quiet > 0 {
		return
	}
	if s.how == raw {
		s.visitor.text(s.place, s.chunk[s.from:i])
	}
	s.how, s.sink = skip, nowhere
	if s.place != ignored {
		s.err = s.visitor.end(s.place, k, s.before+i)
	}
}

// fail refuses the text for what stands, or does not stand, at chunk[i].
func (s *scanner) fail(i int, why string) int {
	s.err = &BadRequest{Message: "not JSON at byte " + strconv.Itoa(s.before+i) + ": " + why}
	return i + 1
}
