// Package server is the sidecar beside Envoy: its admin side with health and
// metrics.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what a server is started with.
type Options struct {
	// Version is what tollgate_build_info shows.
	Version string
	// Grace bounds how long a stop waits for requests in flight.
	Grace time.Duration
	// ReadTimeout bounds the reading of one request.
	ReadTimeout time.Duration
	// WriteTimeout bounds the answering of one request.
	WriteTimeout time.Duration
	// IdleTimeout bounds how long a connection is kept without a request.
	IdleTimeout time.Duration
}

// DefaultOptions are bounds that only a client that does not read or write
// reaches.
func DefaultOptions() Options {
	return Options{
		Grace:        3 * time.Second,
		ReadTimeout:  10 * time.Second,
		WriteTimeout: 30 * time.Second,
		IdleTimeout:  2 * time.Minute,
	}
}

// Serve answers on l until ctx ends, and then what it has begun. It closes l.
func Serve(ctx context.Context, l net.Listener, o Options, log *slog.Logger) error {
	s := &http.Server{
		Handler:      handler(o.Version),
		ReadTimeout:  o.ReadTimeout,
		WriteTimeout: o.WriteTimeout,
		IdleTimeout:  o.IdleTimeout,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("sidecar: %w", err)
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	if err := s.Shutdown(bound); errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(fmt.Errorf("sidecar: requests still active after %s were cut", o.Grace), s.Close())
	} else if err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}

// handler is the admin side.
func handler(version string) http.Handler {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tollgate_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
