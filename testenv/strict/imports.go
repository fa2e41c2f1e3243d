package strict

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// hostModules are the functions that Envoy 1.39 and later offer (since
// proxy-wasm-cpp-host pull request 533), by the name of the module they are
// imported from.
func hostModules() map[string][]hostcall {
	return map[string][]hostcall{"env": envcalls(), "wasi_snapshot_preview1": wasicalls()}
}

// CheckImports reports every function that the module wasm imports and Envoy
// 1.39 does not offer to ABI 0.2.0, one error per name. Envoy refuses to load
// such a module: "missing import". Only the import section is read; nothing is
// compiled.
func CheckImports(wasm []byte) error {
	imports, err := readImports(wasm)
	if err != nil {
		return fmt.Errorf("wasm: %w", err)
	}
	offered := map[string]bool{}
	for module, calls := range hostModules() {
		for _, c := range calls {
			offered[module+"."+c.name] = true
		}
	}
	var problems []error
	for _, name := range imports {
		if !offered[name] {
			problems = append(problems, fmt.Errorf("import %s: not offered by Envoy 1.39", name))
		}
	}
	return errors.Join(problems...)
}

var errTruncated = errors.New("truncated")

// readImports lists the imports of a binary module as module.name, in order
// (WebAssembly core specification, 5.5.5).
func readImports(wasm []byte) ([]string, error) {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" || binary.LittleEndian.Uint32(wasm[4:]) != 1 {
		return nil, errors.New("not a version 1 module")
	}
	const importSection = 2
	r := reader(wasm[8:])
	for len(r) > 0 {
		id, err := r.byte()
		if err != nil {
			return nil, err
		}
		body, err := r.vec()
		if err != nil {
			return nil, err
		}
		if id == importSection {
			return body.imports()
		}
	}
	return nil, nil
}

// reader consumes the binary format from its front.
type reader []byte

func (r *reader) imports() ([]string, error) {
	count, err := r.u32()
	if err != nil {
		return nil, err
	}
	var names []string
	for range count {
		module, err := r.vec()
		if err != nil {
			return nil, err
		}
		name, err := r.vec()
		if err != nil {
			return nil, err
		}
		if err := r.skipDescriptor(); err != nil {
			return nil, err
		}
		names = append(names, string(module)+"."+string(name))
	}
	return names, nil
}

// skipDescriptor passes over what is imported: a function, table, memory or
// global.
func (r *reader) skipDescriptor() error {
	kind, err := r.byte()
	if err != nil {
		return err
	}
	switch kind {
	case 0: // function: type index
		_, err = r.u32()
	case 1: // table: element type, limits
		if _, err = r.byte(); err == nil {
			err = r.skipLimits()
		}
	case 2: // memory
		err = r.skipLimits()
	case 3: // global: type, mutability
		if _, err = r.byte(); err == nil {
			_, err = r.byte()
		}
	default:
		err = fmt.Errorf("import kind %d", kind)
	}
	return err
}

func (r *reader) skipLimits() error {
	hasMax, err := r.byte()
	if err != nil {
		return err
	}
	if _, err = r.u32(); err == nil && hasMax&1 == 1 {
		_, err = r.u32()
	}
	return err
}

func (r *reader) byte() (byte, error) {
	if len(*r) == 0 {
		return 0, errTruncated
	}
	b := (*r)[0]
	*r = (*r)[1:]
	return b, nil
}

func (r *reader) u32() (uint32, error) {
	v, n := binary.Uvarint(*r)
	if n <= 0 || n > 5 || v > 1<<32-1 {
		return 0, errTruncated
	}
	*r = (*r)[n:]
	return uint32(v), nil
}

// vec takes a length and that many bytes.
func (r *reader) vec() (reader, error) {
	n, err := r.u32()
	if err != nil {
		return nil, err
	}
	if uint64(n) > uint64(len(*r)) {
		return nil, errTruncated
	}
	v := (*r)[:n:n]
	*r = (*r)[n:]
	return v, nil
}
