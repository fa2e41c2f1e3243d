//go:build !wasip1

package policy

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"name", "url", "shape", "deployment", "apiVersion", "maxBody", "east-1", "east-2"}
	for _, c := range []struct{ word, want string }{
		{"Name", "name"},
		{"URL", "url"},
		{"ulr", "url"},
		{"api_version", "apiVersion"},
		{"API-Version", "apiVersion"},
		{"max-body", "maxBody"},
		{"deploymnt", "deployment"},
		{"deplyoments", "deployment"},
		{"east-3", "east-1"}, // of equals the first by name
		{"nam", "name"},
		{"na", ""},
		{"region", ""},
		{"", ""},
	} {
		if got := nearest(c.word, known); got != c.want {
			t.Errorf("%q: got %q, want %q", c.word, got, c.want)
		}
	}
}
