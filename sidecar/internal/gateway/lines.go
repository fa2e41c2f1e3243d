package gateway

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// lines passes what a child writes on, line by line, each with the child's name
// before it, and remembers Envoy's latest complaint.
type lines struct {
	name string
	to   io.Writer
	show func(line string) bool // nil shows all

	mu        sync.Mutex
	rest      []byte // of a line that has not ended
	complaint string
}

// longestLine bounds a line that does not end.
const longestLine = 64 << 10

// Write takes bytes in any portions and never fails: a child must not be blocked
// or killed by its log.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ended := bytes.Cut(l.rest, []byte("\n"))
		if !ended && len(l.rest) < longestLine {
			return len(p), nil
		}
		l.line(strings.TrimRight(string(line), "\r"))
		l.rest = append(l.rest[:0], rest...)
	}
}

func (l *lines) line(line string) {
	if c := complaint(line); c != "" {
		l.complaint = c
	}
	if line != "" && (l.show == nil || l.show(line)) {
		_, _ = fmt.Fprintf(l.to, "%s: %s\n", l.name, line)
	}
}

// take returns the latest complaint and forgets it.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.complaint
	l.complaint = ""
	return c
}

// entry is a line of Envoy's log, such as
//
//	[2026-11-21 14:00:21.191][9870][warning][config] [source/….cc:81] message
var entry = regexp.MustCompile(`^\[[^]]*\]\[\d+\]\[(\w+)\]\[[^]]*\] (?:\[[^]]*\] )?(.*)`)

// severity is the level of a line of Envoy's log, empty for one that is none:
// the rest of a message, or what a crash leaves.
func severity(line string) string {
	if m := entry.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// complaint is the message of a line that says why Envoy does not take a
// configuration or does not start.
func complaint(line string) string {
	m := entry.FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	switch level, message := m[1], m[2]; {
	case level == "critical", level == "error":
		return message
	case level == "warning" && strings.Contains(message, "update rejected: "):
		_, reason, _ := strings.Cut(message, "update rejected: ")
		return reason
	}
	return ""
}
