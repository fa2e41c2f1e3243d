package chat

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

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

	boolean  = yes | no
	anything = object | array | text | number | boolean | null
)

// how says what a visitor wants of a value.
type how uint8

const (
	skip how = iota // nothing but that it is there
	read            // a string's text, a container's inside
	raw             // its bytes as they stand
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

// write reads the next chunk. Once there is an error, it is the answer for ever.
func (s *scanner) write(chunk []byte) *BadRequest {
	s.chunk, s.from = chunk, 0
	for i := 0; i < len(chunk) && s.err == nil; {
		i = s.step(i)
	}
	if s.err == nil {
		s.pause()
	}
	s.chunk, s.from = nil, 0
	s.before += len(chunk)
	return s.err
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

// string reads on in a string. What of an escape is in this chunk as a whole, it
// reads at once; escape and digit are for those that are cut.
func (s *scanner) string(i int) int {
	chunk := s.chunk
	for {
		i = plain(chunk, i)
		if i == len(chunk) {
			return i
		}
		if chunk[i] == '"' {
			return s.quote(i)
		}
		if chunk[i] != '\\' {
			return s.fail(i, "want no control character in a string")
		}
		if s.sink != nowhere {
			s.piece(i)
			s.whole = false
		}
		i++
		if i == len(chunk) || chunk[i] == 'u' && i+5 > len(chunk) {
			s.state = inEscape
			return i
		}
		if chunk[i] != 'u' {
			if i = s.escape(i, chunk[i]); s.err != nil {
				return i
			}
			continue
		}
		unit := hex(chunk[i+1])<<12 | hex(chunk[i+2])<<8 | hex(chunk[i+3])<<4 | hex(chunk[i+4])
		if unit < 0 {
			s.state, s.unit, s.digits = inUnit, 0, 0
			return i + 1
		}
		i += 5
		s.utf16(unit, i)
	}
}

// quote ends the string that chunk[i] closes.
func (s *scanner) quote(i int) int {
	name := s.name[:0]
	switch {
	case s.sink == toName && s.whole:
		name = s.chunk[s.from:i]
	case s.sink != nowhere:
		s.piece(i)
		s.lone()
		s.spill()
		name = s.name[:s.named]
	}
	if !s.inKey {
		s.end(text, i+1)
		return i + 1
	}
	if s.sink == toName {
		s.err = s.member(name, s.depth)
	}
	if i+1 < len(s.chunk) && s.chunk[i+1] == ':' {
		s.state = wantValue
		return i + 2
	}
	s.state = wantColon
	return i + 1
}

// piece hands on what stands as it is before chunk[i].
func (s *scanner) piece(i int) {
	if s.from == i {
		return
	}
	s.lone()
	p := s.chunk[s.from:i]
	if s.held > 0 && len(p) <= len(s.decoded)-s.held {
		s.held += copy(s.decoded[s.held:], p)
		return
	}
	s.spill()
	s.deliver(p)
}

// spill hands on what is held.
func (s *scanner) spill() {
	if s.held > 0 {
		s.deliver(s.decoded[:s.held])
		s.held = 0
	}
}

// lone gives up the wait for the second half of a surrogate pair.
func (s *scanner) lone() {
	if s.high != 0 {
		s.high = 0
		s.hold(utf8.RuneError)
	}
}

// hold keeps a decoded character until there are more.
func (s *scanner) hold(r rune) {
	if s.held > len(s.decoded)-utf8.UTFMax {
		s.spill()
	}
	s.held = len(utf8.AppendRune(s.decoded[:s.held], r))
}

func (s *scanner) deliver(p []byte) {
	if s.sink == toVisitor {
		s.visitor.text(s.place, p)
		return
	}
	s.named += copy(s.name[s.named:], p)
}

// escape reads the byte behind a backslash.
func (s *scanner) escape(i int, c byte) int {
	s.state = inString
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		s.state, s.unit, s.digits = inUnit, 0, 0
		return i + 1
	default:
		return s.fail(i, "want an escape that there is")
	}
	if s.sink != nowhere {
		s.lone()
		s.hold(rune(c))
		s.from = i + 1
	}
	return i + 1
}

// digit reads one of \uXXXX.
func (s *scanner) digit(i int, c byte) int {
	d := hex(c)
	if d < 0 {
		return s.fail(i, "want four hexadecimal digits")
	}
	s.unit = s.unit<<4 | d
	if s.digits++; s.digits == 4 {
		s.state = inString
		s.utf16(s.unit, i+1)
	}
	return i + 1
}

// hex is the value of a hexadecimal digit, or negative.
func hex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// utf16 takes the \uXXXX before chunk[i]: a character, or half of one.
func (s *scanner) utf16(unit rune, i int) {
	if s.sink == nowhere {
		return
	}
	s.from = i
	if s.high != 0 {
		if r := utf16.DecodeRune(s.high, unit); r != utf8.RuneError {
			s.high = 0
			s.hold(r)
			return
		}
		s.lone()
	}
	if 0xD800 <= unit && unit < 0xDC00 {
		s.high = unit
		return
	}
	s.hold(unit) // the second half alone becomes U+FFFD
}

// constant begins true, false or null.
func (s *scanner) constant(i int, k kind, word string) int {
	if !s.begin(k, i) {
		return i
	}
	s.state, s.word, s.rest = inLiteral, k, word
	return s.letters(i)
}

// letters reads on in true, false or null.
func (s *scanner) letters(i int) int {
	for ; i < len(s.chunk) && s.rest != ""; i++ {
		if s.chunk[i] != s.rest[0] {
			return s.fail(i, "want a value")
		}
		s.rest = s.rest[1:]
	}
	if s.rest == "" {
		s.end(s.word, i)
	}
	return i
}

// number reads on in a number, up to the byte behind it.
func (s *scanner) number(i int) int {
	for ; i < len(s.chunk); i++ {
		var next state
		switch c := s.chunk[i]; {
		case '1' <= c && c <= '9', c == '0' && s.state != inMinus:
			next = numbers[s.state].digit
		case c == '0':
			next = inZero
		case c == '.':
			next = numbers[s.state].point
		case c == 'e', c == 'E':
			next = numbers[s.state].exponent
		case c == '+', c == '-':
			next = numbers[s.state].sign
		}
		if next == 0 {
			if !numbers[s.state].complete {
				return s.fail(i, "want a digit")
			}
			s.end(number, i)
			return i
		}
		s.state = next
	}
	return i
}

// numbers is what may follow in a number; zero is nothing.
var numbers = [inPower + 1]struct {
	digit, point, exponent, sign state
	complete                     bool
}{
	inMinus:    {digit: inDigits},
	inZero:     {point: inPoint, exponent: inExponent, complete: true},
	inDigits:   {digit: inDigits, point: inPoint, exponent: inExponent, complete: true},
	inPoint:    {digit: inFraction},
	inFraction: {digit: inFraction, exponent: inExponent, complete: true},
	inExponent: {digit: inPower, sign: inSign},
	inSign:     {digit: inPower},
	inPower:    {digit: inPower, complete: true},
}

// fail refuses the text for what stands, or does not stand, at chunk[i].
func (s *scanner) fail(i int, why string) int {
	s.err = &BadRequest{Message: "not JSON at byte " + strconv.Itoa(s.before+i) + ": " + why}
	return i + 1
}

// plain is the index of the first byte of b from i on that is a quote, a
// backslash or a control character, or len(b).
func plain(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		// A word at a time: the top bit of a byte of w is set if a byte of v, not
		// greater than it, is what is looked for. binary.LittleEndian.Uint64 is
		// eight loads on wasm.
		v := *(*uint64)(unsafe.Pointer(&b[i]))
		quote, slash := v^(ones*'"'), v^(ones*'\\')
		w := (v-ones*0x20)&^v | (quote-ones)&^quote | (slash-ones)&^slash
		if w&(ones*0x80) != 0 {
			break
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

const ones = 0x0101010101010101
