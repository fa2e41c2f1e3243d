package mock

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestFaultsOfTheAnswer(t *testing.T) {
	s := start(t, Options{Name: "ptu"})
	streamed := with(hello, `"stream":true,"stream_options":{"include_usage":true}`)
	sound := post(t, s.URL()+openAI, hello).body
	soundStream := post(t, s.URL()+openAI, streamed).body
	tests := map[string]struct {
		path, body, fault string
		check             func(*testing.T, got)
	}{
		"none": {openAI, hello, "", func(t *testing.T, g got) {
			equal(t, g.body, sound)
			equal(t, g.header.Get("Content-Length"), strconv.Itoa(len(sound)))
			equal(t, g.header.Get("x-mock-name"), "ptu")
		}},
		"another backend's":  {openAI, hello, "payg: 500", func(t *testing.T, g got) { equal(t, g.body, sound) }},
		"this backend's":     {openAI, hello, "payg: 500, ptu: 503", func(t *testing.T, g got) { equal(t, g.status, 503) }},
		"split":              {openAI, hello, "split=1+7", func(t *testing.T, g got) { equal(t, g.body, sound) }},
		"split stream":       {openAI, streamed, "split=3", func(t *testing.T, g got) { equal(t, g.body, soundStream) }},
		"paced":              {openAI, hello, "delay=1ms; every=1ms; split=100", func(t *testing.T, g got) { equal(t, g.body, sound) }},
		"chunked":            {openAI, hello, "chunked", func(t *testing.T, g got) { equal(t, g.header.Get("Content-Length"), ""); equal(t, g.body, sound) }},
		"stream with length": {openAI, streamed, "length", func(t *testing.T, g got) { equal(t, g.header.Get("Content-Length"), strconv.Itoa(len(soundStream))) }},
		"stream without":     {openAI, streamed, "", func(t *testing.T, g got) { equal(t, g.header.Get("Content-Length"), "") }},
		"429": {openAI, hello, "429; retry-after=7; retry-after-ms=6500", func(t *testing.T, g got) {
			equal(t, g.status, 429)
			equal(t, g.header.Get("Retry-After"), "7")
			equal(t, g.header.Get("Retry-After-Ms"), "6500")
			equal(t, g.body, `{"error":{"message":"Rate limit reached for requests. Please try again in 7s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`)
		}},
		"500 on azure": {azure, hello, "500", func(t *testing.T, g got) {
			equal(t, g.status, 500)
			equal(t, g.body, `{"error":{"code":"500","message":"The server had an error while processing your request."}}`)
		}},
		"no usage":        {openAI, hello, "no-usage", func(t *testing.T, g got) { equal(t, strings.Contains(g.body, `,"usage":`), false) }},
		"no usage stream": {openAI, streamed, "no-usage", func(t *testing.T, g got) { equal(t, strings.Contains(g.body, `,"usage":`), false) }},
		"usage first":     {openAI, hello, "usage=first", func(t *testing.T, g got) { equal(t, strings.HasPrefix(g.body, `{"usage":{"prompt_tokens":22,`), true) }},
		"usage in the middle": {openAI, streamed, "usage=middle", func(t *testing.T, g got) {
			equal(t, strings.Contains(data(t, g.body)[0], `,"usage":null,"model"`) || strings.Contains(data(t, g.body)[0], `,"usage":null,"`), true)
			equal(t, strings.HasSuffix(data(t, g.body)[0], `"usage":null}`), false)
		}},
		"obfuscation": {openAI, streamed, "obfuscation", func(t *testing.T, g got) {
			equal(t, strings.Contains(data(t, g.body)[0], `],"usage":null,"obfuscation":"`), true)
		}},
		"crlf":      {openAI, streamed, "crlf", func(t *testing.T, g got) { equal(t, strings.ReplaceAll(g.body, "\r\n", "\n"), soundStream) }},
		"comments":  {openAI, streamed, "comments", func(t *testing.T, g got) { equal(t, strings.ReplaceAll(g.body, ": keep-alive\n\n", ""), soundStream) }},
		"malformed": {openAI, hello, "malformed", func(t *testing.T, g got) { equal(t, json.Valid([]byte(g.body)), false) }},
		"malformed stream": {openAI, streamed, "malformed", func(t *testing.T, g got) {
			equal(t, json.Valid([]byte(data(t, g.body)[0])), true)
			equal(t, brokenIn(t, g.body), 1)
		}},
		"tokens":          {openAI, hello, "tokens=200", func(t *testing.T, g got) { equal(t, decode(t, g.body).Usage.CompletionTokens, 200) }},
		"tokens, limited": {openAI, with(hello, `"max_tokens":50`), "tokens=200", func(t *testing.T, g got) { equal(t, decode(t, g.body).Usage.CompletionTokens, 50) }},
		"bytes": {openAI, hello, "bytes=1000000", func(t *testing.T, g got) {
			a := decode(t, g.body)
			equal(t, len(a.Choices[0].Message.Content), 1000000)
			equal(t, a.Usage.CompletionTokens, 200000)
			equal(t, CountTokens(strings.Repeat(" more", 500)), 500)
		}},
		"gzip": {openAI, hello, "gzip", func(t *testing.T, g got) {
			equal(t, g.header.Get("Content-Encoding"), "gzip")
			equal(t, gunzip(t, g.body), sound)
		}},
		"gzip stream": {openAI, streamed, "gzip; split=5", func(t *testing.T, g got) { equal(t, gunzip(t, g.body), soundStream) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.check(t, post(t, s.URL()+tt.path, tt.body, FaultHeader, tt.fault, "Accept-Encoding", "gzip"))
		})
	}
}

func brokenIn(t *testing.T, stream string) (n int) {
	for _, d := range data(t, stream) {
		if d != "[DONE]" && !json.Valid([]byte(d)) {
			n++
		}
	}
	return n
}

func gunzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFaultsOfTheConnection(t *testing.T) {
	s := start(t, Options{})
	streamed := with(hello, `"stream":true`)
	events := strings.SplitAfter(post(t, s.URL()+openAI, streamed).body, "\n\n")
	tests := map[string]struct {
		body, fault string
		err         error
		end         End
		received    string // of the body; "*" is a status line never seen
	}{
		"reset before the headers":   {hello, "reset", syscall.ECONNRESET, Reset, "*"},
		"reset after three events":   {streamed, "reset-after=3", syscall.ECONNRESET, Reset, strings.Join(events[:3], "")},
		"cut in a stream":            {streamed, "cut=100", io.ErrUnexpectedEOF, Cut, strings.Join(events, "")[:100]},
		"cut in JSON":                {hello, "cut=5", io.ErrUnexpectedEOF, Cut, `{"id"`},
		"reset in JSON":              {hello, "split=5; reset-after=1", syscall.ECONNRESET, Reset, `{"id"`},
		"cut in JSON without length": {hello, "cut=5; chunked", io.ErrUnexpectedEOF, Cut, `{"id"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			// A connection of its own: net/http would try again on an old one.
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			g, err := try(t.Context(), c, s.URL()+openAI, tt.body, FaultHeader, tt.fault)
			if !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if tt.received != "*" && (g.status != 200 || g.body != tt.received) {
				t.Errorf("received %d %q, want %q", g.status, g.body, tt.received)
			}
			if err := s.Await(t.Context(), func(all []Request) bool { return len(all) == 1 && all[0].End == tt.end }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultsSetByTheTest(t *testing.T) {
	s := start(t, Options{})
	s.Always(Fault{Status: 500})
	s.Next(Fault{Status: 429}, Fault{})
	for i, want := range []int{429, 200, 500, 503, 500} {
		header := ""
		if want == 503 {
			header = "503"
		}
		if g := post(t, s.URL()+openAI, hello, FaultHeader, header); g.status != want {
			t.Errorf("request %d: got %d, want %d", i, g.status, want)
		}
	}
}

func TestRefusedConnections(t *testing.T) {
	s := start(t, Options{})
	if err := s.Refuse(); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t.Context(), http.DefaultClient, s.URL()+openAI, hello); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	if err := s.Accept(); err != nil {
		t.Fatal(err)
	}
	if g := post(t, s.URL()+openAI, hello); g.status != 200 {
		t.Errorf("got %d", g.status)
	}
}

func TestHeldRequests(t *testing.T) {
	s := start(t, Options{})
	s.Always(Fault{Hold: "all"})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if g := post(t, s.URL()+openAI, hello); g.status != 200 {
				t.Errorf("got %d", g.status)
			}
		})
	}
	if err := s.Gate("all").Await(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		equal(t, r.End, "")
	}
	s.Gate("all").Open()
	wg.Wait()
}

func TestAClientThatLeaves(t *testing.T) {
	s := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+openAI, strings.NewReader(with(hello, `"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(FaultHeader, "hold=middle; hold-after=2")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	b := bufio.NewReader(a.Body)
	for range 4 { // two events of two lines
		if _, err := b.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Gate("middle").Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Await(t.Context(), func(all []Request) bool { return all[0].End == Gone }); err != nil {
		t.Fatal(err)
	}
}
