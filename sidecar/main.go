// Command tollgate checks a document, renders it for Envoy, and runs the gateway.
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
)

// commands are what the program can do. Each turns its arguments into the options
// of the package that does it.
type commands struct {
	Check   check  `cmd:"" help:"Check documents; every problem is printed as file:line:column: path: message."`
	Render  render `cmd:"" help:"Turn a document into the configuration of a proxy."`
	Up      up     `cmd:"" help:"Run the whole gateway on this machine: Envoy and the sidecar."`
	Serve   serve  `cmd:"" help:"Run the sidecar."`
	Key     key    `cmd:"" help:"Make a subscription key and its hash."`
	Version about  `cmd:"" help:"Print the version."`
}

// streams are the standard ones.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes.
const (
	exitFailed = 1 // what went wrong is on standard error
	exitUsage  = 2 // wrong arguments
)

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

func run(args []string, s streams) (code int) {
	left := -1 // set by --help, which is done when it has printed
	parser, err := kong.New(&commands{},
		kong.Name("tollgate"),
		kong.Description("An AI gateway inside the Envoy you already run."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { left = code }),
		kong.Bind(s),
	)
	if err != nil {
		_, _ = fmt.Fprintln(s.err, "tollgate:", err)
		return exitFailed
	}
	ctx, err := parser.Parse(args)
	if left >= 0 {
		return left
	}
	if err != nil {
		_, _ = fmt.Fprintln(s.err, "tollgate:", err)
		return exitUsage
	}
	if err := ctx.Run(); err != nil {
		if !errors.Is(err, errPrinted) {
			_, _ = fmt.Fprintln(s.err, err)
		}
		return exitFailed
	}
	return 0
}

// errPrinted ends a command whose problems have been printed.
var errPrinted = errors.New("problems found")

// level is an option that most commands with a log have.
type level struct {
	LogLevel string `default:"info" enum:"debug,info,warn,error" help:"The least that is logged: ${enum}."`
}

func (l level) level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.LogLevel)) // checked by enum
	return level
}

func (l level) log(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: l.level()}))
}
