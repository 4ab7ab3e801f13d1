// Command stub is many broken plugins in one: what it does wrong is the end of
// the name it is called by, halo-check-stub-MODE. It exists so that tests of
// halo can run the real core against plugins that die, hang, flood and lie.
//
// Every mode describes itself properly, as a plugin with one check type,
// stub_MODE, whose setting "answer" is the outcome of its probes. ../README.md
// lists the modes. Read modes first.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
)

const prefix = "halo-check-stub-"

// modes says what each does wrong. serve does not return.
func modes() map[string]func(mode string) {
	return map[string]func(string){
		"good":    func(mode string) { serve(mode, answer) },
		"prints":  prints,
		"mute":    func(string) { forever() },
		"stuck":   func(string) { serveRaw(rawStuck) },
		"hangs":   func(mode string) { serve(mode, hang) },
		"floods":  floods,
		"dies":    dies,
		"panics":  func(mode string) { serve(mode, panics) },
		"newer":   newer,
		"lies":    func(string) { serveRaw(rawLies) },
		"garbles": func(string) { serveRaw(rawGarbles) },
		"deaf":    deaf,
		"parent":  parent,
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	mode, ok := strings.CutPrefix(name, prefix)
	behave := modes()[mode]
	if !ok || behave == nil {
		fmt.Fprintf(os.Stderr, "%s: call it %sMODE; see testdata/plugins/README.md\n", name, prefix)
		os.Exit(64)
	}
	if len(os.Args) > 1 {
		if mode == "newer" {
			describeNewer(mode)
		}
		serve(mode, answer) // Prints what it is asked for and exits.
	}
	behave(mode)
}

// settings are those of the one type.
type settings struct {
	Answer string `halo:"answer" doc:"What every probe finds." default:"pass" enum:"pass,fail,unknown"`
}

// ask is what a probe does, given the answer it is set to.
type ask func(ctx context.Context, want string) check.Result

type checker struct {
	settings
	ask ask
}

// Check asks as the mode does.
func (c checker) Check(ctx context.Context, _ check.Target) check.Result { return c.ask(ctx, c.Answer) }

func declare(mode string, a ask) sdk.Plugin {
	return sdk.Plugin{Name: prefix + mode, Version: "1.0.0", Types: []check.Type{
		check.New("stub_"+mode, "A broken plugin for tests.", func(s settings) (check.Checker, error) {
			return checker{settings: s, ask: a}, nil
		}),
	}}
}

func serve(mode string, a ask) { sdk.Serve(declare(mode, a)) }

// answer is a probe without fault.
func answer(_ context.Context, want string) check.Result {
	switch want {
	case "pass":
		return check.Passed("as told")
	case "fail":
		return check.Failed(check.ReasonMismatch, "as told")
	}
	return check.NotKnown(check.ReasonLocalError, "as told")
}

// prints has a line on its standard output before the handshake, where the
// host expects nothing else.
func prints(mode string) {
	fmt.Println("Hello from a plugin that greets!")
	serve(mode, answer)
}

// hang stops the whole process at the first probe, heartbeat and all.
func hang(context.Context, string) check.Result {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	return check.Result{}
}

// panics dies at the first probe, where nothing can recover it.
func panics(ctx context.Context, _ string) check.Result {
	go panic("the stub's settings are nil")
	<-ctx.Done()
	return check.Result{}
}

// dies serves for a second and dies with a message.
func dies(mode string) {
	time.AfterFunc(time.Second, func() {
		_, _ = trueStderr().WriteString("the stub has lived its second\n")
		syscall.Exit(7) // Not os.Exit: nothing is to be put in order.
	})
	serve(mode, answer)
}

// floods works, and writes as fast as it can to standard error: short lines, a
// line of 1 MiB, and bytes that are no text.
func floods(mode string) {
	stderr := trueStderr()
	long := []byte(strings.Repeat("all work and no play ", 1<<20/21) + "\n")
	go func() {
		for {
			for range 1000 {
				_, _ = stderr.WriteString("flood\n")
			}
			_, _ = stderr.Write(long)
			_, _ = stderr.WriteString("\xff\xfe\x00\x1b[2J\r\n")
		}
	}()
	serve(mode, answer)
}

// trueStderr is the descriptor itself: the SDK replaces os.Stderr.
func trueStderr() *os.File { return os.NewFile(2, "stderr") }

// parent works, and has children that do not listen: one in its own process
// group, one in another.
func parent(mode string) {
	for _, group := range []bool{false, true} {
		child := exec.Command("/bin/sh", "-c", "trap '' TERM HUP; while :; do sleep 3600; done") //nolint:noctx // It is to outlive everything.
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	serve(mode, answer)
}

// forever is neither asleep on purpose nor a deadlock that the runtime finds.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
