package chat

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

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
		return s.fail(i, "want a known escape")
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
