package strict

import (
	"os"
	"strings"
	"testing"
)

func TestCheckImports(t *testing.T) {
	for _, c := range []struct {
		name    string
		imports []external
		want    string
	}{
		{"none", nil, ""},
		{"offered", []external{{"env", "proxy_log", 3, 1}, {"wasi_snapshot_preview1", "sock_accept", 3, 1}}, ""},
		{"of a later ABI", []external{{"env", "proxy_get_log_level", 1, 1}}, "import env.proxy_get_log_level: not offered by Envoy 1.39"},
		{"unknown to WASI as Envoy has it", []external{{"wasi_snapshot_preview1", "proc_raise", 1, 1}}, "import wasi_snapshot_preview1.proc_raise: not offered by Envoy 1.39"},
		{"another module, twice", []external{{"gojs", "a", 0, 0}, {"gojs", "b", 0, 0}}, "import gojs.a: not offered by Envoy 1.39\nimport gojs.b: not offered by Envoy 1.39"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := message(CheckImports(assemble(c.imports, plugged()))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckImportsOfNoModule(t *testing.T) {
	whole := assemble([]external{{"env", "proxy_log", 3, 1}}, nil)
	for name, c := range map[string]struct {
		wasm []byte
		want string
	}{
		"nothing":  {nil, "wasm: not a version 1 module"},
		"text":     {[]byte("(module (func))"), "wasm: not a version 1 module"},
		"cut off":  {whole[:30], "wasm: truncated"},
		"bad kind": {append(append([]byte{}, whole[:8]...), 2, 6, 1, 1, 'a', 1, 'b', 9), "wasm: import kind 9"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := message(CheckImports(c.wasm)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckImportsOfGo(t *testing.T) {
	wasm, err := os.ReadFile(probeModule(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckImports(wasm); err != nil {
		t.Error(err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func FuzzCheckImports(f *testing.F) {
	f.Add(assemble([]external{{"env", "proxy_log", 3, 1}, {"x", "y", 0, 0}}, plugged()))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x02\x05\x01\x00\x00\x02\x00\x00"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		names, err := readImports(wasm)
		if err != nil && names != nil {
			t.Errorf("names %q beside the error %v", names, err)
		}
		size := 0
		for _, name := range names {
			size += len(name)
			if !strings.Contains(name, ".") {
				t.Errorf("name %q", name)
			}
		}
		if size > len(wasm) {
			t.Errorf("%d bytes of names in %d bytes", size, len(wasm))
		}
	})
}

func FuzzPairs(f *testing.F) {
	f.Add(encodePairs([][2]string{{":path", "/"}, {"x", ""}}))
	f.Add([]byte{1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := decodePairs(b)
		if err != nil {
			return
		}
		// Whatever is accepted travels unchanged.
		again, err := decodePairs(encodePairs(pairs))
		if err != nil || len(again) != len(pairs) {
			t.Fatalf("%q became %q, %v", pairs, again, err)
		}
		for i := range pairs {
			if again[i] != pairs[i] {
				t.Errorf("pair %d: %q became %q", i, pairs[i], again[i])
			}
		}
	})
}
