package chat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// gather is a visitor that keeps the text of the whole value.
type gather struct {
	got   []byte
	ended bool
}

func (g *gather) begin(place, kind, int) *BadRequest { return nil }
func (g *gather) text(_ place, b []byte)             { g.got = append(g.got, b...) }
func (g *gather) end(place, kind, int) *BadRequest   { g.ended = true; return nil }

// scan reads chunks as a value that is wanted so.
func scan(want how, chunks ...string) (string, *BadRequest) {
	var g gather
	var s scanner
	s.reset(&g, []rule{{}, {how: want}}, 1)
	for _, c := range chunks {
		s.write([]byte(c))
	}
	return string(g.got), s.close()
}

func TestScanSyntax(t *testing.T) {
	for _, c := range []struct{ name, in, err string }{
		{"object", ` { "a" : [ 1 , "x" , true , false , null , { } , [ ] ] } `, ""},
		{"string", `"a\"\\\/\b\f\n\r\t\u00e9"`, ""},
		{"numbers", `[0,-0,10,-1.5,2e3,2E+3,0.1e-10,1e0]`, ""},
		{"not utf-8", "\"\xff\"", ""},
		{"half a surrogate pair", `"\ud800"`, ""},
		{"128 deep", strings.Repeat("[", 128) + strings.Repeat("]", 128), ""},

		{"nothing", ``, "body: not JSON at byte 0: it ends too early"},
		{"white space", " \t\r\n", "body: not JSON at byte 4: it ends too early"},
		{"byte order mark", "\ufeff{}", "body: not JSON at byte 0: want a value"},
		{"129 deep", strings.Repeat("[", 129), "body: nested too deeply"},
		{"leading zero", `[01]`, "body: not JSON at byte 2: want a comma or a closing bracket"},
		{"plus", `[+1]`, "body: not JSON at byte 1: want a value"},
		{"bare point", `[1.]`, "body: not JSON at byte 3: want a digit"},
		{"leading point", `[.5]`, "body: not JSON at byte 1: want a value"},
		{"bare exponent", `[1e]`, "body: not JSON at byte 3: want a digit"},
		{"bare minus", `-`, "body: not JSON at byte 1: it ends too early"},
		{"two points", `[1.2.3]`, "body: not JSON at byte 4: want a comma or a closing bracket"},
		{"infinity", `[Infinity]`, "body: not JSON at byte 1: want a value"},
		{"hexadecimal", `[0x1]`, "body: not JSON at byte 2: want a comma or a closing bracket"},
		{"cut literal", `[tru]`, "body: not JSON at byte 4: want a value"},
		{"wrong case", `[True]`, "body: not JSON at byte 1: want a value"},
		{"trailing comma in array", `[1,]`, "body: not JSON at byte 3: want a value"},
		{"trailing comma in object", `{"a":1,}`, "body: not JSON at byte 7: want a name in quotes"},
		{"no comma", `[1 2]`, "body: not JSON at byte 3: want a comma or a closing bracket"},
		{"no colon", `{"a" 1}`, "body: not JSON at byte 5: want a colon"},
		{"bare key", `{a:1}`, "body: not JSON at byte 1: want a name in quotes"},
		{"single quotes", `{'a':1}`, "body: not JSON at byte 1: want a name in quotes"},
		{"wrong bracket", `[1}`, "body: not JSON at byte 2: want a comma or a closing bracket"},
		{"wrong brace", `{"a":1]`, "body: not JSON at byte 6: want a comma or a closing brace"},
		{"comment", `[1/**/]`, "body: not JSON at byte 2: want a comma or a closing bracket"},
		{"control character", "\"a\nb\"", "body: not JSON at byte 2: want no control character in a string"},
		{"control character in key", "{\"a\x00\":1}", "body: not JSON at byte 3: want no control character in a string"},
		{"unknown escape", `"\x41"`, "body: not JSON at byte 2: want a known escape"},
		{"short unit", `"\u12"`, "body: not JSON at byte 5: want four hexadecimal digits"},
		{"wrong digit", `"\u12g4"`, "body: not JSON at byte 5: want four hexadecimal digits"},
		{"open string", `"abc`, "body: not JSON at byte 4: it ends too early"},
		{"open object", `{"a":1`, "body: not JSON at byte 6: it ends too early"},
		{"open array", `[1`, "body: not JSON at byte 2: it ends too early"},
		{"behind the value", `{} x`, "body: not JSON at byte 3: want nothing behind the value"},
		{"two values", `{}{}`, "body: not JSON at byte 2: want nothing behind the value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, want := range []how{skip, read, raw} {
				each(c.in, func(chunks ...string) {
					_, err := scan(want, chunks...)
					if got := message(err); got != c.err {
						t.Fatalf("split %q: got %q, want %q", chunks, got, c.err)
					}
				})
			}
		})
	}
}

func message(err *BadRequest) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// each calls f with in as a whole, cut in two at every place, and byte by byte.
func each(in string, f func(chunks ...string)) {
	f(in)
	var bytes []string
	for i := range len(in) {
		f(in[:i], in[i:])
		bytes = append(bytes, in[i:i+1])
	}
	f(bytes...)
}

func TestScanText(t *testing.T) {
	for _, in := range []string{
		`""`, `"a"`, `"a b c d e f g h i j k l m n o p"`, `"é漢😀"`,
		`"\"\\\/\b\f\n\r\t"`, `"\u0041\u00E9\u6f22\ud83d\ude00"`, `"a\ud83d\ude00b"`,
		`"\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\ud83d\ude00"`, `"\ude00"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`,
		`"` + strings.Repeat(`\u6f22`, 40) + `"`, `"` + strings.Repeat(`x\n`, 70) + `"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		each(in, func(chunks ...string) {
			if got, err := scan(read, chunks...); got != want || err != nil {
				t.Errorf("split %q: got %q, %v, want %q", chunks, got, err, want)
			}
		})
	}
}

func TestScanRaw(t *testing.T) {
	for _, in := range []string{`{"a": ["b\n", 1.5e3, {}], "c": null}`, `"a\u0041"`, `[ ]`, `-12.5`, `true`} {
		each(in, func(chunks ...string) {
			if got, err := scan(raw, chunks...); got != in || err != nil {
				t.Errorf("split %q: got %q, %v", chunks, got, err)
			}
		})
	}
}

// Every byte at every place of the word that plain looks at.
func TestPlain(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			b := bytes.Repeat([]byte{0x80}, 20)
			b[at] = byte(c)
			want := 20
			if c < 0x20 || c == '"' || c == '\\' {
				want = at
			}
			for i := range at + 1 {
				if got := plain(b, i); got != want {
					t.Fatalf("byte %#x at %d, from %d: got %d, want %d", c, at, i, got, want)
				}
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, in := range []string{`{"a":[1,-2.5e3,true,null,"x\ud83d\ude00"]}`, `"\ud800\u0041"`, `[01]`, "\"\xff\"", `{"a":{},}`, ` null `} {
		f.Add([]byte(in), uint16(3), uint16(4))
	}
	f.Fuzz(func(t *testing.T, in []byte, a, b uint16) {
		i := min(int(a), len(in))
		j := min(i+int(b), len(in))
		x, y, z := string(in[:i]), string(in[i:j]), string(in[j:])

		_, err := scan(skip, x, y, z)
		if err != nil && err.Message == "nested too deeply" {
			return
		}
		if (err == nil) != json.Valid(in) {
			t.Fatalf("got %v, encoding/json says valid: %v", err, json.Valid(in))
		}
		if _, whole := scan(skip, string(in)); message(whole) != message(err) {
			t.Fatalf("whole %v, split %v", whole, err)
		}
		if err != nil {
			return
		}
		wanted := strings.Trim(string(in), space)
		if wanted == "null" {
			wanted = "" // as if it were absent
		}
		if got, _ := scan(raw, x, y, z); got != wanted {
			t.Fatalf("raw is %q", got)
		}
		var want string
		if json.Unmarshal(in, &want) == nil && in[0] == '"' {
			// encoding/json replaces what is not UTF-8 a byte at a time.
			got, _ := scan(read, x, y, z)
			if got := string([]rune(got)); got != want {
				t.Fatalf("text is %q, want %q", got, want)
			}
		}
	})
}
