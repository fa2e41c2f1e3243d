package supervise

import (
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Spawner starts processes that do not outlive this one, where the operating
// system can see to that.
//
// Linux sends the death signal of a child when the thread that forked it ends,
// not the process, so all children are forked by one thread that is locked for
// the life of the program.
type Spawner struct {
	requests chan request
}

type request struct {
	cmd     *exec.Cmd
	started chan<- error
}

// NewSpawner starts the thread. There is one per program; it never ends.
func NewSpawner() *Spawner {
	s := &Spawner{requests: make(chan request)}
	go func() {
		runtime.LockOSThread()
		for r := range s.requests {
			r.started <- r.cmd.Start()
		}
	}()
	return s
}

// Start starts cmd in a process group of its own, so that a terminal's Ctrl-C
// does not reach it, and tied to the life of this process.
func (s *Spawner) Start(cmd *exec.Cmd) (Process, error) {
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = time.Second // for its output, should somebody else hold that open
	started := make(chan error)
	s.requests <- request{cmd, started}
	if err := <-started; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed
}

func (p *process) Done() <-chan struct{}    { return p.done }
func (p *process) Err() error               { return p.err }
func (p *process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }
