package policy

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It reads a plain number or a number with a unit of
// 1024: 8388608, 8192KiB, 8MiB. It is written with the largest unit that is
// exact.
type Size int64

var units = []struct {
	suffix string
	size   Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

var errSize = errors.New("want a number of bytes, or one with KiB, MiB or GiB such as 8MiB")

func (s Size) String() string {
	for _, u := range units {
		if s >= u.size && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText makes it a string in JSON and a plain scalar in YAML.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText refuses signs, fractions, spaces and units of 1000, which would
// leave a doubt about the number meant.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), Size(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = n, u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != number || n > math.MaxInt64/int64(unit) {
		return errSize
	}
	*s = Size(n) * unit
	return nil
}

// UnmarshalJSON takes a number as well as a string.
func (s *Size) UnmarshalJSON(src []byte) error {
	return s.UnmarshalText(bytes.Trim(src, `"`))
}

// Duration is a span of time in Go's syntax: 100ms, 30s, 1h30m.
type Duration time.Duration

var errDuration = errors.New("want a duration such as 100ms, 30s or 10m")

// String writes no zero units: 10m, not 10m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// MarshalText makes it a string in JSON and a plain scalar in YAML.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText refuses a number without a unit, except 0.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errDuration
	}
	*d = Duration(v)
	return nil
}
