package gateway

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Artefact is the path of something the Makefile builds or fetches, named from
// the repository's root. It fails the test where it is missing, with the target
// that makes it.
func Artefact(t testing.TB, name, target string) string {
	t.Helper()
	root, err := root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run make %s", name, target)
	}
	return path
}

func tollgate(t testing.TB) string { t.Helper(); return Artefact(t, "bin/tollgate", "build") }

func module(t testing.TB) string { t.Helper(); return Artefact(t, "bin/tollgate.wasm", "build") }

// envoyBinary is found as `tollgate up` finds it.
func envoyBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ENVOY"); path != "" {
		return path
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	return Artefact(t, ".tools/envoy/envoy/_bin/envoy", "test")
}

// root is the nearest folder upwards that holds go.mod.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the test's folder")
		}
		dir = parent
	}
}
