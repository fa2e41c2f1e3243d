// Package tokens counts the tokens of a prompt before a model has.
package tokens

// What a chat costs beyond its texts, by OpenAI's rules for GPT-4 and later.
const (
	perMessage = 3
	priming    = 3 // of the answer, once
)

// image is charged for every image: one of 1024×1024 in high detail to GPT-4o.
// Its true size would have to be read from the image itself.
const image = 765

// Fast estimates tokens from bytes: each byte costs what such bytes cost in the
// o200k encoding on average, and a character's whole cost stands with its first
// byte, so that a text may be cut anywhere and nothing is remembered but a sum.
//
// It is within a quarter of o200k's count for prose, code, JSON and Markdown of
// a few hundred bytes and more, and within a third for Chinese, Japanese, Korean,
// Russian, Arabic, Hindi and emoji. Text without words, such as base64, has up to
// three times as many tokens as it says; long runs of one character have fewer.
//
// Fast counts what a model wrote as well, if it is given that as text. The zero
// value has counted nothing.
type Fast struct {
	hundredths int64
	messages   int64
	ids        int64
}

// Message counts the frame of a message.
func (f *Fast) Message() { f.messages++ }

// Text counts a piece of a text.
func (f *Fast) Text(p []byte) {
	var sum uint64
	for ; len(p) >= 8; p = p[8:] {
		sum += uint64(cost[p[0]]) + uint64(cost[p[1]]) + uint64(cost[p[2]]) + uint64(cost[p[3]]) +
			uint64(cost[p[4]]) + uint64(cost[p[5]]) + uint64(cost[p[6]]) + uint64(cost[p[7]])
	}
	for _, c := range p {
		sum += uint64(cost[c])
	}
	f.hundredths += int64(sum)
}

// End is the end of a text, which costs nothing.
func (f *Fast) End() {}

// IDs counts n tokens that were given as numbers.
func (f *Fast) IDs(n int) { f.ids += int64(n) }

// Image counts an image.
func (f *Fast) Image() { f.ids += image }

// Tokens is the estimate of all that was counted, rounded up.
func (f *Fast) Tokens() int64 {
	n := (f.hundredths+99)/100 + f.ids
	if f.messages > 0 {
		n += f.messages*perMessage + priming
	}
	return n
}

// cost is what a byte costs in hundredths of a token. The figures are a fit, by
// least relative squares, to o200k's counts of prose, source code, JSON, Markdown
// and HTML; those of the other scripts to a paragraph in each.
var cost = func() (c [256]uint8) {
	set := func(first, last, cost uint8) {
		for b := int(first); b <= int(last); b++ {
			c[b] = cost
		}
	}
	set(0x00, 0x7F, 50) // punctuation and control characters
	set(' ', ' ', 1)    // part of the word behind it
	set('"', '"', 30)
	set('\t', '\t', 25)
	set('\n', '\n', 100)
	set('\r', '\r', 10)
	set('0', '9', 60)
	set('A', 'Z', 24)
	set('a', 'z', 21)

	set(0xC2, 0xC3, 50)  // Latin with accents
	set(0xC4, 0xCD, 100) // Latin, rarer
	set(0xCE, 0xCF, 41)  // Greek
	set(0xD0, 0xD3, 26)  // Cyrillic
	set(0xD4, 0xDF, 33)  // Armenian, Hebrew, Arabic
	set(0xE0, 0xE1, 40)  // Indic scripts, Thai, Georgian
	set(0xE2, 0xE2, 130) // typographic punctuation, symbols, box drawing
	set(0xE3, 0xE3, 76)  // kana, East Asian punctuation
	set(0xE4, 0xE9, 66)  // Han
	set(0xEA, 0xED, 66)  // Hangul
	set(0xEE, 0xEF, 110) // full-width forms, variation selectors
	set(0xF0, 0xF4, 130) // emoji
	return c
}()
