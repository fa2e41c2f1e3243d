package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program makes an executable that says what an Envoy of a version says.
func program(t *testing.T, path, version string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] || exit 1\necho\necho \"$0  version: 9e55809/%s/Clean/RELEASE/BoringSSL\"\necho\n", version)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindEnvoy(t *testing.T) {
	dir := t.TempDir()
	given := program(t, dir+"/given", "1.39.0")
	variable := program(t, dir+"/variable", "1.39.1")
	onPath := program(t, dir+"/path/envoy", "1.40.0-dev")
	installed := program(t, dir+"/.tools/envoy/envoy/_bin/envoy", "2.0.0")
	for _, test := range []struct {
		name, given, variable, path, want string
	}{
		{name: "given first", given: given, variable: variable, path: dir + "/path", want: given},
		{name: "then the variable", variable: variable, path: dir + "/path", want: variable},
		{name: "then PATH", path: dir + "/path", want: onPath},
		{name: "then beside the program", want: installed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("ENVOY", test.variable)
			t.Setenv("PATH", test.path+":/usr/bin:/bin")
			got, err := findEnvoy(t.Context(), test.given, dir+"/bin/tollgate")
			if got != test.want || err != nil {
				t.Errorf("%s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestFindEnvoyErrors(t *testing.T) {
	dir := t.TempDir()
	old := program(t, dir+"/old", "1.38.2")
	older := program(t, dir+"/older", "0.99.0")
	if err := os.WriteFile(dir+"/other", []byte("#!/bin/sh\necho hello 1.40.0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENVOY", "")
	t.Setenv("PATH", "/usr/bin:/bin")
	for _, test := range []struct{ name, given, want string }{
		{name: "none", want: "no Envoy found; install it from "},
		{name: "not there", given: dir + "/none", want: "--envoy: exec: \"" + dir + "/none\": stat " + dir + "/none: no such file or directory"},
		{name: "too old", given: old, want: old + " is Envoy 1.38.2; want 1.39 or later, because a module compiled by Go needs WASI host calls that older ones lack; install it"},
		{name: "much too old", given: older, want: older + " is Envoy 0.99.0; want 1.39 or later"},
		{name: "something else", given: dir + "/other", want: dir + "/other --version: no Envoy's answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := findEnvoy(t.Context(), test.given, dir+"/bin/tollgate")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s…", err, test.want)
			}
		})
	}
}
