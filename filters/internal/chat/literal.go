package chat

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
		c := s.chunk[i]
		for s.state == inDigits && '0' <= c && c <= '9' {
			if i++; i == len(s.chunk) {
				return i
			}
			c = s.chunk[i]
		}
		var next state
		switch {
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
