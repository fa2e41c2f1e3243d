package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is where Envoy's files and its admin socket are, for this process and
// its children only.
type folder struct {
	path string
	lock *os.File
	temp bool
}

// rendered are what a run leaves in its folder. They are removed before the next
// one, so that nothing of an older document is found there.
var rendered = []string{"bootstrap.json", "lds", "rds", "cds", "ecds", "sds", document, socket}

const (
	document = "tollgate.yaml" // the document in force, for the sidecar
	socket   = "admin.sock"
)

// openFolder takes possession of path, which is made if it is missing; without
// one, of a fresh temporary folder.
func openFolder(path string) (*folder, error) {
	f := &folder{path: path, temp: path == ""}
	var err error
	if f.temp {
		f.path, err = os.MkdirTemp("", "tollgate-")
	} else if f.path, err = filepath.Abs(path); err == nil {
		err = os.MkdirAll(f.path, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := f.claim(); err != nil {
		if f.temp {
			err = errors.Join(err, os.RemoveAll(f.path))
		}
		return nil, err
	}
	return f, nil
}

// claim checks that the folder will do, and locks it.
func (f *folder) claim() error {
	longest := len(syscall.RawSockaddrUnix{}.Path) - 1
	if s := filepath.Join(f.path, socket); len(s) > longest {
		return fmt.Errorf("run directory: %s is %d bytes long, and the path of a Unix socket can have %d; name a shorter directory with --run", s, len(s), longest)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("run directory: others may write to %s (mode %#o); secrets are put there, so only its owner may", f.path, info.Mode().Perm())
	}
	// Held until the process ends, however it does. It also keeps systemd-tmpfiles
	// from taking the files of a long run for forgotten ones.
	if f.lock, err = os.Open(f.path); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("run directory: another tollgate runs in %s", f.path)
		}
		return fmt.Errorf("run directory: lock %s: %w", f.path, err)
	}
	return f.remove(rendered...)
}

// close gives the folder up. A temporary one is removed; in another, the files
// stay for whoever wants to see them, without the secrets.
func (f *folder) close() error {
	defer func() { _ = f.lock.Close() }()
	if f.temp {
		return os.RemoveAll(f.path)
	}
	return f.remove("sds", socket)
}

func (f *folder) remove(names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, os.RemoveAll(filepath.Join(f.path, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return nil
}
