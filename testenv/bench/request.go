//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// request is one kind of request and what must come back.
type request struct {
	name   string
	stream bool
	wire   []byte // as it is sent
	answer []byte // the body, without the transfer's coding
}

// newRequest makes a chat request with a body of so many bytes and asks the
// mock itself for the answer.
func newRequest(mock string, size int, stream bool) (*request, error) {
	r := &request{name: fmt.Sprintf("JSON %s", kilo(size)), stream: stream}
	end := `"}]}`
	if stream {
		r.name = fmt.Sprintf("stream %s", kilo(size))
		end = `"}],"stream":true}`
	}
	const begin = `{"model":"gpt-4o","temperature":0.2,"messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"`
	const prose = `The quick brown fox jumps over the lazy dog, and says: \"Why not?\" `
	text := strings.Repeat(prose, size/len(prose)+1)[:size-len(begin)-len(end)]
	body := begin + strings.TrimRight(text, `\`) + end
	r.wire = fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\napi-key: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", key, len(body), body)

	c, err := net.Dial("tcp", mock)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(r.wire); err != nil {
		return nil, err
	}
	a := answerReader{r: bufio.NewReader(c)}
	if err := a.read(); err != nil {
		return nil, fmt.Errorf("the mock's own answer to %s: %w", r.name, err)
	}
	r.answer = bytes.Clone(a.body)
	return r, nil
}

// check says what is wrong with an answer. Its body is not quoted: it may be
// another caller's, which is what would be wrong with it.
func (r *request) check(a *answerReader) error {
	if !bytes.Equal(a.body, r.answer) {
		return fmt.Errorf("%s: %d bytes that are not the %d the mock sends", r.name, len(a.body), len(r.answer))
	}
	return nil
}

func kilo(size int) string {
	if size%1024 == 0 {
		return fmt.Sprintf("%d KB", size/1024)
	}
	return fmt.Sprintf("%.1f KB", float64(size)/1000)
}

// answerReader reads the answers on one connection: HTTP/1.1, 200 only, with a
// length or chunked. It keeps its buffers.
type answerReader struct {
	r     *bufio.Reader
	body  []byte
	first time.Time // when the first bytes of the body were there
}

func (a *answerReader) read() error {
	line, err := a.line()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("status line %q", line)
	}
	length, chunked := -1, false
	for {
		line, err := a.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("content-length: %w", err)
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.Equal(value, []byte("chunked"))
		}
	}
	a.body = a.body[:0]
	switch {
	case chunked:
		return a.chunks()
	case length >= 0:
		return a.take(length)
	}
	return errors.New("an answer with neither length nor chunks")
}

func (a *answerReader) chunks() error {
	for {
		line, err := a.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk length: %w", err)
		}
		if n > 0 {
			if err := a.take(int(n)); err != nil {
				return err
			}
		}
		if line, err = a.line(); err != nil {
			return err
		}
		if len(line) > 0 {
			return errors.New("a chunk longer than its length, or trailers")
		}
		if n == 0 {
			return nil
		}
	}
}

// take appends n bytes to the body.
func (a *answerReader) take(n int) error {
	from := len(a.body)
	if from == 0 && n > 0 {
		if _, err := a.r.Peek(1); err != nil {
			return err
		}
		a.first = time.Now()
	}
	if cap(a.body) < from+n {
		a.body = append(make([]byte, 0, 2*(from+n)), a.body...)
	}
	a.body = a.body[:from+n]
	_, err := io.ReadFull(a.r, a.body[from:])
	return err
}

func (a *answerReader) line() ([]byte, error) {
	line, err := a.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}
