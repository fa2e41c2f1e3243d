//go:build !wasip1

package policy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the errors into testdata/mistakes; read every one of them")

const dashes = "----------\n"

// Each file is a document, a line of dashes and the exact error.
func TestMistakes(t *testing.T) {
	files, _ := filepath.Glob("testdata/mistakes/*.txt")
	if len(files) == 0 {
		t.Fatal("no fixtures")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			fixture, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src, want, ok := strings.Cut(string(fixture), dashes)
			if !ok {
				t.Fatal("no line of dashes")
			}
			doc, err := Parse("tollgate.yaml", []byte(src))
			if err == nil {
				t.Fatal("accepted")
			}
			if doc != nil {
				t.Error("a document beside the error")
			}
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(src+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
