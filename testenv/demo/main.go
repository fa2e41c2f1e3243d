// Command demo is `make run`: a mock LLM, Tollgate in front of it, and what to
// try. It runs from the checkout's root, listens on 127.0.0.1:$PORT (8080) and
// stops everything on Ctrl-C.
//
// With OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY, in
// the environment, Tollgate stands in front of the real service.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/testenv/mock"
)

const (
	quickstart = "envoy/examples/quickstart.yaml"
	document   = ".run/tollgate.yaml"
	program    = "bin/tollgate"
)

func init() {
	// Linux sends a child's death signal when the thread that started it ends:
	// main keeps the one the process ends with.
	runtime.LockOSThread()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	addr := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")
	if err := available(addr); err != nil {
		return fmt.Errorf("%w; choose another port: make run PORT=8090", err)
	}
	b, err := choose(os.Getenv)
	if err != nil {
		return err
	}
	if b.mock {
		llm, err := mock.Start(mock.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = llm.Close() }()
		// The pace of a model, so that a stream is seen to be one.
		llm.Always(mock.Fault{Every: 40 * time.Millisecond})
		b.url = llm.URL()
	}
	if err := write(b, addr); err != nil {
		return err
	}

	up, err := launch(exec.Command(program, "up", document, "--listen", addr))
	if err != nil {
		return err
	}
	return up.attend(stop, "http://"+addr, func() { hints(os.Stdout, addr, b) })
}

// child is the gateway's process.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once it has been waited for
}

func launch(cmd *exec.Cmd) (*child, error) {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // what it returns is in ProcessState
		close(c.ended)
	}()
	return c, nil
}

// attend tells the user once the gateway answers, and waits for it to end or
// for the user to end it.
func (c *child) attend(stop <-chan os.Signal, url string, tell func()) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-c.ended:
			return fmt.Errorf("tollgate up ended: %s", c.cmd.ProcessState)
		case <-stop:
			return c.stop(stop)
		case <-poll.C:
			if answers(url) {
				poll.Stop()
				tell()
			}
		}
	}
}

// stop ends the gateway, which waits for requests in flight; a second signal
// does not.
func (c *child) stop(again <-chan os.Signal) error {
	fmt.Println("\nstopping; once more cuts requests in flight")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
	case <-again:
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	return nil
}

// answers says whether the gateway is in force: there is nothing at /, and it
// is the gateway that says so.
func answers(url string) bool {
	c := http.Client{Timeout: 2 * time.Second}
	r, err := c.Get(url + "/")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusNotFound
}

// available says why an address cannot be listened on.
func available(addr string) error {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use", addr)
	}
	if err != nil {
		return err
	}
	return l.Close()
}

// write puts the document where `tollgate up` reads it, in one step. addr is
// the gateway's, which the sidecar cannot have.
func write(b backend, addr string) error {
	source, err := os.ReadFile(quickstart)
	if err != nil {
		return fmt.Errorf("run from the checkout's root: %w", err)
	}
	sidecar := "127.0.0.1:8081"
	if sidecar == addr || available(sidecar) != nil {
		sidecar = "127.0.0.1:0"
	}
	text, err := render(string(source), sidecar, b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(document), 0o700); err != nil {
		return err
	}
	next := document + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, document)
}
