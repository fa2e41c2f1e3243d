//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// target is a gateway under load.
type target struct {
	name, addr string
	pid        int // Envoy's
	idle       chan *client
}

// most is how many requests may be open at a time. A gateway that needs more
// does not keep up with the rate.
const most = 1024

func newTarget(name, addr string, pid int) *target {
	return &target{name: name, addr: addr, pid: pid, idle: make(chan *client, most)}
}

// client is a connection that is kept between requests.
type client struct {
	conn   net.Conn
	answer answerReader
	sent   chan due
}

// due is a request on its way.
type due struct {
	at     time.Time
	sample *sample
	done   *sync.WaitGroup
	what   *request
}

// sample is what became of a request; times are from when it was due.
type sample struct {
	first, total time.Duration
	err          error
}

// block is a stretch of load.
type block struct {
	samples []sample      // after warm-up
	cpu     time.Duration // Envoy's in that time
}

// openLoop sends requests at a fixed rate.
func (t *target) openLoop(r *request, rate int, length time.Duration) (block, error) {
	n := int(length.Seconds() * float64(rate))
	warm := n / 10
	samples := make([]sample, n)
	var done sync.WaitGroup
	var busy time.Duration
	err := onTime(n, rate, func(i int, at time.Time) error {
		if i == warm {
			var err error
			if busy, err = cpuTime(t.pid); err != nil {
				return err
			}
		}
		c, err := t.client()
		if err != nil {
			return err
		}
		done.Add(1)
		// The reader learns of the request before the gateway can.
		c.sent <- due{at: at, sample: &samples[i], done: &done, what: r}
		if _, err := c.conn.Write(r.wire); err != nil {
			// The reader's read fails too and says so in the sample.
			_ = c.conn.Close()
		}
		return nil
	})
	done.Wait()
	if err != nil {
		return block{}, fmt.Errorf("%s: %w", t.name, err)
	}
	return t.finish(samples, warm, busy)
}

// onTime calls what n times, each when it is due. A thread of its own and the
// kernel's finest timer keep it within some ten microseconds; the runtime's
// timers round up to milliseconds.
func onTime(n, rate int, what func(i int, at time.Time) error) error {
	failed := make(chan error)
	go func() {
		// Never unlocked: the thread, and with it the timer's setting, ends
		// with the goroutine.
		runtime.LockOSThread()
		failed <- func() error {
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
				return fmt.Errorf("timer: %w", err)
			}
			begin := time.Now().Add(time.Millisecond)
			for i := range n {
				at := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
				for wait := time.Until(at); wait > 0; wait = time.Until(at) {
					left := unix.NsecToTimespec(wait.Nanoseconds())
					if err := unix.Nanosleep(&left, nil); err != nil && !errors.Is(err, unix.EINTR) {
						return fmt.Errorf("timer: %w", err)
					}
				}
				if err := what(i, at); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	return <-failed
}

// closedLoop lets so many clients ask again as soon as they have an answer.
func (t *target) closedLoop(r *request, clients int, length time.Duration) (block, error) {
	warm, end := time.Now().Add(length/10), time.Now().Add(length)
	each := make([][]sample, clients)
	var wg sync.WaitGroup
	for i := range each {
		c, err := t.dial()
		if err != nil {
			return block{}, err
		}
		wg.Go(func() {
			defer func() { _ = c.conn.Close() }()
			for at := time.Now(); at.Before(end); at = time.Now() {
				s := sample{err: c.ask(r, at)}
				s.total = time.Since(at)
				if at.After(warm) || s.err != nil {
					each[i] = append(each[i], s)
				}
				if s.err != nil {
					return
				}
			}
		})
	}
	time.Sleep(time.Until(warm))
	busy, err := cpuTime(t.pid)
	wg.Wait()
	if err != nil {
		return block{}, err
	}
	return t.finish(slices.Concat(each...), 0, busy)
}

// finish closes a block of which the first samples are warm-up, and after whose
// warm-up the processor time stood at busy.
func (t *target) finish(samples []sample, warm int, busy time.Duration) (block, error) {
	now, err := cpuTime(t.pid)
	if err != nil {
		return block{}, err
	}
	bad := 0
	for _, s := range samples {
		if s.err != nil {
			bad++
			err = s.err
		}
	}
	if bad > 0 {
		return block{}, fmt.Errorf("%s: %d of %d requests went wrong, among them: %w", t.name, bad, len(samples), err)
	}
	if len(samples) == 0 {
		return block{}, fmt.Errorf("%s: not one answer", t.name)
	}
	return block{samples: samples[warm:], cpu: now - busy}, nil
}

// client is an idle connection, or a new one.
func (t *target) client() (*client, error) {
	select {
	case c := <-t.idle:
		return c, nil
	default:
	}
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	go c.readAll(t.idle)
	return c, nil
}

func (t *target) dial() (*client, error) {
	conn, err := net.Dial("tcp", t.addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, answer: answerReader{r: bufio.NewReaderSize(conn, 16<<10)}, sent: make(chan due, 1)}, nil
}

// readAll reads one answer after the other for as long as they are right. It
// ends with the process.
func (c *client) readAll(idle chan<- *client) {
	for d := range c.sent {
		err := c.answer.read()
		now := time.Now()
		if err == nil {
			err = d.what.check(&c.answer)
		}
		*d.sample = sample{first: c.answer.first.Sub(d.at), total: now.Sub(d.at), err: err}
		if err == nil {
			select {
			case idle <- c:
			default:
				d.sample.err = fmt.Errorf("more than %d requests open: the gateway does not keep up", most)
			}
		} else {
			_ = c.conn.Close()
		}
		d.done.Done()
		if d.sample.err != nil {
			return
		}
	}
}

// ask sends a request and reads its answer.
func (c *client) ask(r *request, at time.Time) error {
	if _, err := c.conn.Write(r.wire); err != nil {
		return err
	}
	if err := c.answer.read(); err != nil {
		return err
	}
	return r.check(&c.answer)
}
