//go:build !wasip1

package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is refused has a position in the file; what is accepted compiles, loads
// as it was, and reads the same again once written.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/mistakes/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			doc, _, _ := bytes.Cut(src, []byte(dashes))
			f.Add(doc)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, err := Parse("f", src)
		if err != nil {
			problems := Problems(err)
			if doc != nil || len(problems) == 0 {
				t.Fatalf("document %v, error %v", doc, err)
			}
			lines := bytes.Count(src, []byte("\n")) + 1
			for i, p := range problems {
				if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
					t.Fatalf("%v of %d lines", p, lines)
				}
				if i > 0 && (problems[i-1].Line > p.Line || problems[i-1].Line == p.Line && problems[i-1].Column > p.Column) {
					t.Fatalf("not in order: %v", err)
				}
			}
			return
		}
		compiled, err := doc.Compile()
		if err != nil {
			t.Fatal(err)
		}
		loaded, register, err := Load(string(compiled))
		if err != nil {
			t.Fatalf("%v: %s", err, compiled)
		}
		if diff := cmp.Diff(stripped(doc), loaded); diff != "" {
			t.Fatalf("(-parsed +loaded):\n%s", diff)
		}
		if diff := cmp.Diff(byKey(doc.Subscriptions), slices.AppendSeq([]Subscription{}, register.All)); diff != "" {
			t.Fatalf("(-parsed +register):\n%s", diff)
		}
		written, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("f", written)
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if diff := cmp.Diff(doc, again); diff != "" {
			t.Fatalf("(-parsed +written and read):\n%s", diff)
		}
	})
}

// What loads compiles to a fixed point: no key is lost and none is invented.
func FuzzLoad(f *testing.F) {
	for _, src := range []string{
		`{}`,
		`{"gateway":{"maxBody":"8MiB"},"identity":{"anonymous":"refuse"}}`,
		`{"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"00"},{"sha256":"\u00e9"}],"disabled":true}]}`,
		`{"subscriptions":[],"models":[{"name":"m","pool":"p","aliases":["n"]}]}`,
		`{"limits":{"tokens":[{"name":"l","key":["api"],"tokensPerMinute":{"header":"h","default":1,"max":2}}]}}`,
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		load := func(src []byte) (*Document, error) {
			doc, register, err := Load(string(src))
			if err == nil {
				doc.Subscriptions = slices.Collect(register.All)
			}
			return doc, err
		}
		doc, err := load(src)
		if err != nil {
			return
		}
		var written [3][]byte // an empty list is written once and then no more
		for i := range written {
			if written[i], err = doc.Compile(); err != nil {
				t.Fatal(err)
			}
			if doc, err = load(written[i]); err != nil {
				t.Fatalf("%v: %s", err, written[i])
			}
		}
		if !bytes.Equal(written[1], written[2]) {
			t.Fatalf("%s\nthen\n%s", written[1], written[2])
		}
	})
}
