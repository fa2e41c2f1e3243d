package policy

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want Size
		out  string
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"1023", 1023, "1023"},
		{"1024", 1 << 10, "1KiB"},
		{"1025", 1025, "1025"},
		{"8MiB", 8 << 20, "8MiB"},
		{"8192KiB", 8 << 20, "8MiB"},
		{"1536KiB", 1536 << 10, "1536KiB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"0MiB", 0, "0"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
	} {
		t.Run(c.text, func(t *testing.T) {
			var s Size
			if err := s.UnmarshalText([]byte(c.text)); err != nil || s != c.want || s.String() != c.out {
				t.Errorf("got %d, %s, %v; want %d, %s", s, s, err, c.want, c.out)
			}
			var back Size
			if src, err := json.Marshal(s); err != nil || json.Unmarshal(src, &back) != nil || back != s {
				t.Errorf("%s reads %d, wrote %d", src, back, s)
			}
		})
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "01", "1.5MiB", "1 MiB", "8MB", "8mib", "8M", "1e3", "8589934592GiB", "9223372036854775808"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d", text, s)
		}
	}
	var s Size
	if err := json.Unmarshal([]byte("1024"), &s); err != nil || s != 1024 {
		t.Errorf("the number 1024 reads %d, %v", s, err)
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		out  string
	}{
		{"0", 0, "0s"},
		{"0s", 0, "0s"},
		{"100ms", 100 * time.Millisecond, "100ms"},
		{"90s", 90 * time.Second, "1m30s"},
		{"10m", 10 * time.Minute, "10m"},
		{"60m", time.Hour, "1h"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"},
		{"-1m", -time.Minute, "-1m"},
		{"20m", 20 * time.Minute, "20m"},
		{"100h", 100 * time.Hour, "100h"},
	} {
		t.Run(c.text, func(t *testing.T) {
			var d Duration
			if err := d.UnmarshalText([]byte(c.text)); err != nil || time.Duration(d) != c.want || d.String() != c.out {
				t.Errorf("got %s, %v; want %s", d, err, c.out)
			}
			var back Duration
			if src, err := json.Marshal(d); err != nil || json.Unmarshal(src, &back) != nil || back != d {
				t.Errorf("%s reads %s, wrote %s", src, back, d)
			}
		})
	}
	for _, text := range []string{"", "30", "30 s", "ten", "1d"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %s", text, d)
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		src  string
		want Rate
		out  string
	}{
		{`1000`, Rate{Default: 1000, Min: 1}, `1000`},
		{`{"default":1000}`, Rate{Default: 1000, Min: 1}, `1000`},
		{`{"header":"x-rate","default":5,"max":9}`, Rate{Header: "x-rate", Default: 5, Min: 1, Max: 9}, `{"header":"x-rate","default":5,"min":1,"max":9}`},
	} {
		t.Run(c.src, func(t *testing.T) {
			var r Rate
			if err := json.Unmarshal([]byte(c.src), &r); err != nil || r != c.want {
				t.Errorf("got %+v, %v; want %+v", r, err, c.want)
			}
			if out, err := json.Marshal(r); err != nil || string(out) != c.out {
				t.Errorf("wrote %s, %v; want %s", out, err, c.out)
			}
		})
	}
}
