package main

import "syscall"

// attributes gives the gateway a process group of its own, so that a terminal's
// Ctrl-C reaches this process only, which stops the other in order; and ties it
// to the life of this one.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
