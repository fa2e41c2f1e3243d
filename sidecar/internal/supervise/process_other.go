//go:build unix && !linux

package supervise

import "syscall"

// attributes has nothing like Linux' death signal; a child that must not outlive
// its parent watches a pipe from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
