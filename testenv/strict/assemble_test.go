package strict

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// A small WebAssembly writer, for modules that no compiler would make.

// code is a function's body: instructions.
type code []byte

func constant(n int32) code { return append(code{0x41}, sleb(int64(n))...) }

// invoke calls function n of the module, imports first.
func invoke(n uint32) code { return append(code{0x10}, uleb(n)...) }

func drop() code { return code{0x1a} }

func block(parts ...code) code {
	var out code
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func uleb(n uint32) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func sleb(n int64) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// external is an imported function, function an exported one. Parameters and
// results are i32 throughout.
type external struct {
	module, name    string
	params, results int
}

type function struct {
	name            string
	params, results int
	body            code
}

// assemble makes a module with one page of memory.
func assemble(imports []external, functions []function) []byte {
	vec := func(items [][]byte) []byte {
		out := uleb(uint32(len(items)))
		for _, item := range items {
			out = append(out, item...)
		}
		return out
	}
	name := func(s string) []byte { return append(uleb(uint32(len(s))), s...) }
	signature := func(params, results int) []byte {
		out := append([]byte{0x60}, uleb(uint32(params))...)
		for range params {
			out = append(out, 0x7f)
		}
		out = append(out, uleb(uint32(results))...)
		for range results {
			out = append(out, 0x7f)
		}
		return out
	}
	var types, imported, declared, exported, bodies [][]byte
	for i, f := range imports {
		types = append(types, signature(f.params, f.results))
		imported = append(imported, append(append(name(f.module), name(f.name)...), append([]byte{0}, uleb(uint32(i))...)...))
	}
	exported = append(exported, append(name("memory"), 2, 0))
	for i, f := range functions {
		index := uint32(len(imports) + i)
		types = append(types, signature(f.params, f.results))
		declared = append(declared, uleb(index))
		exported = append(exported, append(append(name(f.name), 0), uleb(index)...))
		body := append(append([]byte{0}, f.body...), 0x0b)
		bodies = append(bodies, append(uleb(uint32(len(body))), body...))
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, section := range []struct {
		id   byte
		body []byte
	}{{1, vec(types)}, {2, vec(imported)}, {3, vec(declared)}, {5, []byte{1, 0, 1}}, {7, vec(exported)}, {10, vec(bodies)}} {
		out = append(append(append(out, section.id), uleb(uint32(len(section.body)))...), section.body...)
	}
	return out
}

// plugged adds what every proxy-wasm module has.
func plugged(functions ...function) []function {
	return append([]function{
		{name: "proxy_abi_version_0_2_0"},
		{name: "proxy_on_context_create", params: 2},
		{name: "proxy_on_vm_start", params: 2, results: 1, body: constant(1)},
	}, functions...)
}

func moduleFile(t testing.TB, wasm []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.wasm")
	if err := os.WriteFile(path, wasm, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
