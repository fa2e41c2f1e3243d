//go:build unix && !linux

package main

import "syscall"

// attributes gives the gateway a process group of its own, so that a terminal's
// Ctrl-C reaches this process only, which stops the other in order. Killed
// outright, this process leaves the other behind.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
