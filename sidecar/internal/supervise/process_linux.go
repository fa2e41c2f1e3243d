package supervise

import "syscall"

// attributes ties a child to this process: the kernel kills it when the parent
// is gone. The runtime covers a parent that ends between the fork and the
// setting of the death signal.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
