package mock

import (
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

// vocabulary is o200k_base, the encoding of the gpt-4o family, whatever model
// is asked for.
var vocabulary = sync.OnceValues(func() (*tiktoken.Tiktoken, error) {
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	t, err := tiktoken.GetEncoding(tiktoken.MODEL_O200K_BASE)
	if err != nil {
		return nil, fmt.Errorf("mock vocabulary: %w", err)
	}
	return t, nil
})

func loadVocabulary() error {
	_, err := vocabulary()
	return err
}

// Bounds of counting. The encoder is quadratic in a run without a word
// boundary and does about 2 MB/s elsewhere.
const (
	window = 4 << 10   // encoded at once
	exact  = 256 << 10 // longer texts are extrapolated …
	sample = 64 << 10  // … from this much
)

// CountTokens is the number of o200k tokens of a text: exact up to 4 KiB, at
// most one off per 4 KiB up to 256 KiB, extrapolated from the first 64 KiB of
// longer ones.
func CountTokens(text string) int {
	if len(text) > exact {
		return CountTokens(text[:sample]) * (len(text) / sample)
	}
	t, err := vocabulary()
	if err != nil {
		return 0 // Start has refused to start
	}
	n := 0
	for len(text) > 0 {
		end := cutAt(text, window)
		n += len(t.EncodeOrdinary(text[:end]))
		text = text[end:]
	}
	return n
}

// cutAt is the end of the longest whole-rune prefix of at most n bytes.
func cutAt(text string, n int) int {
	if len(text) <= n {
		return len(text)
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return max(n, 1)
}

// pieces cuts a text into what a stream would deliver: the text of one token
// each, or of several where a character spans them. At most limit tokens are
// delivered; n is how many.
func pieces(text string, limit int) (out []string, n int) {
	t, err := vocabulary()
	if err != nil {
		return nil, 0
	}
	held := ""
	for _, token := range t.EncodeOrdinary(text) {
		if n == limit {
			break
		}
		n++
		held += t.Decode([]int{token})
		if utf8.ValidString(held) {
			out = append(out, held)
			held = ""
		}
	}
	return out, n
}
